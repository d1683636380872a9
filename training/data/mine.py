"""Hard negatives of the model's own: for each training example, the tools that the model is likeliest to take instead.

Mining as in NV-Retriever (Moreira et al. 2024, arXiv:2407.15831, "TopK-PercPos"): a tool that comes nearer to the
conversation than a share of the right one's cosine may well be right too, and is no negative.

What is mined goes to the front of an example's `others`, and `build_batch` needs to know nothing of it: a row that
calls a tool shuffles its `others`, brings one of them into the batch with a chance of `WITH_OTHER`, and takes up to
`NEAR` of those that other rows brought. The front counts only in rows without calls, whose first other is the tool that
comes closest, and in closed rows: both stay as they are.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from model.tokenizer import Tokenizer
from training.attention import text_attention
from training.config import ModelConfig
from training.data.compose import TOO_CLOSE
from training.data.packing import pack
from training.data.shards import (
    ExampleTable,
    Ragged,
    ToolTable,
    load_description,
    load_examples,
    load_tools,
    save_description,
    save_examples,
)
from training.data.sources.naming import words
from training.loss import pool_texts
from training.network import Encoder, Network
from training.train import initialise

PER_EXAMPLE = 2
MARGIN = 0.95
BATCH_TOKENS = 8_192  # encoded at once, padding included
BLOCK = 256  # conversations compared with all tools at once: with 60,000 of them, 61 MB of cosines

Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def mine(
    shards: Path,
    out: Path,
    init: str,
    per_example: int = PER_EXAMPLE,
    margin: float = MARGIN,
    model_config: ModelConfig | None = None,
) -> dict[str, Any]:
    """Write `shards` once more to `out`, whole or not at all, with mined tools in front of the `others` of its rows.

    Args:
        init: whose encoder compares: an artifact folder, a checkpoint or a safetensors file, as of `train`.
        per_example: at most so many tools for one example, of a family each.
        margin: share of the cosine of a conversation and its first called tool, above which no tool is mined.

    Returns what `shards.json` says under "mined": the settings, `examples` (how many open rows call a tool), `tools`
    (how many of those got 0, 1, .. tools), and `mistaken`, the share of them that are nearer to some tool of another
    family than to their own. ValueError when `out` is there already, or no open row calls a tool.
    """
    if out.exists():
        raise ValueError(f"{out} is there already: choose another folder, or remove it")
    description = load_description(shards)
    tokenizer = Tokenizer.load(shards / "tokenizer.json")
    examples, tools = load_examples(shards, "train"), load_tools(shards)
    rows = np.flatnonzero(~examples.closed & (examples.call_tools.lengths > 0)).tolist()
    if not rows:
        raise ValueError(f"no open example of {shards} calls a tool: there is nothing to mine for")
    network = Network(model_config or ModelConfig(vocab_size=tokenizer.vocab_size))
    initialise(network, tokenizer, init)
    encoder = network.eval().to("cuda" if torch.cuda.is_available() else "cpu").encoder
    # The table has tools of held-out families besides.
    used = np.union1d(examples.others.flat, examples.call_tools.flat)
    heads = tools.head[used].tolist()
    ranges = [(int(examples.pool_start[i]), len(examples.query[i])) for i in rows]
    tool = pooled(encoder, [tools.ids[t] for t in used], [(0, head) for head in heads], "encoding tools")
    query = pooled(encoder, [examples.query[i] for i in rows], ranges, "encoding conversations")
    # Behind the TOOL token, the head is a name or `name: description`.
    texts = [tokenizer.decode(tools.ids[t][1:head].tolist()) for t, head in zip(used, heads, strict=True)]
    names = [text.partition(":")[0] for text in texts]
    called = [np.searchsorted(used, examples.call_tools[i]) for i in rows]
    families = np.stack((tools.group, listed_groups(examples, tools)))[:, used]
    chosen, mistaken = choose(query, called, examples.group[rows], tool, families, names, per_example, margin)

    others = [examples.others[i] for i in range(len(examples))]
    for i, found in zip(rows, chosen, strict=True):
        others[i] = np.array(list(dict.fromkeys([*used[found].tolist(), *others[i].tolist()])), np.int32)
    counts = Counter(map(len, chosen))
    mined = {
        "from": description["sha256"],
        "init": init,
        "per_example": per_example,
        "margin": margin,
        "examples": len(rows),
        "tools": [counts[k] for k in range(per_example + 1)],
        "mistaken": float(mistaken.mean()),
    }
    building = out.with_name(f".{out.name}-partial")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(shards, building)
    save_examples(building, "train", replace(examples, others=Ragged.pack(others, np.int32)))
    kept = {k: v for k, v in description.items() if k not in ("prompt_format", "shards", "sha256")}
    save_description(building, tokenizer.json_text, {**kept, "mined": mined})
    building.rename(out)
    return mined


@torch.inference_mode()
def pooled(encoder: Encoder, texts: Sequence[npt.ArrayLike], ranges: Sequence[tuple[int, int]], what: str) -> Vectors:
    """The unit vectors [n, width] of texts (token ids), each the sum over its half-open range of tokens; bf16.

    `what` is the progress bar's name.
    """
    device = encoder.positions.weight.device
    lengths = np.array([np.size(t) for t in texts])
    vectors = np.empty((len(texts), encoder.positions.embedding_dim), np.float32)
    order = np.argsort(-lengths, kind="stable")  # the longest first: what does not fit in memory fails at once
    with tqdm(total=len(texts), desc=what, unit="text") as bar:
        while len(order):
            batch, order = np.split(order, [max(1, BATCH_TOKENS // int(lengths[order[0]]))])
            packed = pack([texts[i] for i in batch])
            pool = torch.zeros(len(packed.ids))
            for start, i in zip(packed.start.tolist(), batch, strict=True):
                pool[start + ranges[i][0] : start + ranges[i][1]] = 1.0
            packed = packed.to(device)
            with torch.autocast(device.type, torch.bfloat16):
                states = encoder.states(packed.ids, packed.position, text_attention(packed, encoder.head_width))
                vectors[batch] = pool_texts(packed, pool.to(device), states).cpu().numpy()
            bar.update(len(batch))
    return vectors


def listed_groups(examples: ExampleTable, tools: ToolTable) -> Ints:
    """For each tool [M] the group of most of the examples that list or call it; the table's, where there are none.

    `ToolTable.group` is that of the first example with the tool, which may have listed it as a stranger: so a wording
    of an example's own tool can stand under another group there, and must not be mined against it.
    """
    columns = (examples.others, examples.call_tools)
    tool = np.concatenate([c.flat for c in columns]).astype(np.int64)
    group = np.concatenate([np.repeat(examples.group, c.lengths) for c in columns])
    pairs, counts = np.unique(np.stack((tool, group)), axis=1, return_counts=True)
    found = tools.group.copy()
    often = np.argsort(counts, kind="stable")
    found[pairs[0][often]] = pairs[1][often]  # the last, most frequent one stays
    return found


def choose(
    query: Vectors,
    called: Sequence[Ints],
    group: Ints,
    tool: Vectors,
    families: Ints,
    names: Sequence[str],
    per_example: int,
    margin: float,
) -> tuple[list[list[int]], npt.NDArray[np.bool_]]:
    """For each conversation the nearest tools that are wrong, nearest first; and whether one of another family is
    nearer than the right one.

    Args:
        query: unit vectors [n, width] of conversations; `called` the tools that each calls, the right one first, and
            `group` [n] its group.
        tool: unit vectors [m, width]; `families` [f, m] the groups that each may belong to, and `names`.
        per_example, margin: as in `mine`.

    A tool is wrong when it shares no group with the conversation or a tool that it calls, and no more than `TOO_CLOSE`
    of the words of either name with such a tool (as `training.data.compose` counts); and of the chosen, no two share a
    group, since they may be two wordings of one tool.
    """
    members: dict[int, Ints] = defaultdict(lambda: np.zeros(0, np.int64))
    for row in families:
        order = np.argsort(row, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(row[order])) + 1):
            members[int(row[part[0]])] = np.concatenate((members[int(row[part[0]])], part))
    close = _names_too_close(names)
    chosen: list[list[int]] = []
    mistaken = np.zeros(len(query), np.bool_)
    for begin in tqdm(range(0, len(query), BLOCK), desc="mining", unit="block"):
        for i, score in enumerate(query[begin : begin + BLOCK] @ tool.T, begin):
            right = score[called[i][0]]
            for g in {int(group[i]), *families[:, called[i]].ravel().tolist()}:
                score[members[g]] = -np.inf
            mistaken[i] = score.max() > right
            for t in set(called[i].tolist()):
                score[close(names[t])] = -np.inf
            score[score > margin * right] = -np.inf
            taken: list[int] = []
            while len(taken) < per_example and score[best := int(score.argmax())] > -np.inf:
                taken.append(best)
                for g in families[:, best].tolist():
                    score[members[g]] = -np.inf
            chosen.append(taken)
    return chosen, mistaken


def _names_too_close(names: Sequence[str]) -> Callable[[str], Ints]:
    """A function from a name to the places of those of `names` whose words overlap with its by more than `TOO_CLOSE`,
    in proportion to the shorter of both."""
    said = [set(words(name)) for name in names]
    sizes = np.array([len(s) for s in said])
    places: dict[str, list[int]] = defaultdict(list)
    for k, found in enumerate(said):
        for word in found:
            places[word].append(k)

    @lru_cache(maxsize=4_096)  # examples of one family follow each other
    def close(name: str) -> Ints:
        own = set(words(name))
        sharing = np.array([k for word in own for k in places.get(word, ())], np.int64)
        shared = np.bincount(sharing, minlength=len(names))
        return np.flatnonzero(shared > TOO_CLOSE * np.minimum(sizes, len(own)))

    return close
