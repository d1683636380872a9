"""Which labels are held out, and which are too many of their tool. The same for the same labels, in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from training.data.example import Call


def held_out(clusters: Sequence[int], strata: Sequence[Hashable], keys: Sequence[str], share: float) -> set[int]:
    """The numbers of the labels to hold out: `share` of them and of each stratum, no cluster cut in two.

    Args:
        clusters: of each label; labels of one cluster are so alike that one would give the other away.
        strata: of each label; a cluster counts for that of its first label.
        keys: of each label, such as a digest of its request; their order decides which are taken.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for number in sorted(range(len(keys)), key=lambda n: keys[n]):
        members[clusters[number]].append(number)
    by_stratum: dict[Hashable, list[list[int]]] = defaultdict(list)
    for group in members.values():
        by_stratum[strata[group[0]]].append(group)
    taken: set[int] = set()
    seen = 0
    for stratum in sorted(by_stratum, key=repr):
        groups = by_stratum[stratum]
        seen += sum(map(len, groups))
        for group in groups:
            # What one stratum is too small to give, the next one makes up for.
            if len(taken) + len(group) <= round(share * seen):
                taken.update(group)
    return taken


def too_many(answers: Sequence[Sequence[Call]], keys: Sequence[str], balance: float) -> set[int]:
    """The numbers of the labels that are one too many of their tool.

    A tool may have `balance` times its even share of the labels with calls; one with calls of several tools stays while
    any of them has room. Labels without a call may be as many as those with one.
    """
    names = [sorted({c.name for c in calls}) for calls in answers]
    order = sorted(range(len(keys)), key=lambda n: keys[n])
    calling = [n for n in order if names[n]]
    silent = [n for n in order if not names[n]]
    most = balance * len(calling) / max(1, len({name for called in names for name in called}))
    kept: Counter[str] = Counter()
    dropped: set[int] = set()
    for number in calling:
        if all(kept[name] >= most for name in names[number]):
            dropped.add(number)
        else:
            kept.update(names[number])
    return dropped | set(silent[len(calling) - len(dropped) :])
