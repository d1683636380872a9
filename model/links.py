"""Links: words that a request shares with the declaration of a tool or a parameter, told from token ids alone.

Which words of a request belong to which parameter is what has to carry over to tools never seen before, and the
plainest sign of it is that both use the same word: "170 cm" and `height_cm`, "sell" and `buy|sell`. For parsers of
questions about unseen databases such links are worth much (schema linking; RAT-SQL, Wang et al. 2020; BRIDGE, Lin et
al. 2020). Encoder states keep little of a word's identity, so they are given to the copy head, and to routing, as they
are.

`training.links` computes the same for batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.parameters import NO_PARAMETER

REACH = 6  # tokens on either side of a token where a linked word still counts; a number is a token a digit
WINDOW = 2 * REACH + 1
FEATURES = 2 * WINDOW + 3
OVERLAPS = 6

Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]


class Links:
    """Those of one conversation of C tokens and one tool of T.

    A word that several of the tool's parameters have says less: it links to each by the inverse of their number.

    Args:
        conversation, tool: [C], [T] the tokens' words, as of `Tokenizer.words`.
        owner: [T] the number of the parameter in whose lines each token of the tool is, or NO_PARAMETER.
    """

    def __init__(self, conversation: Int, tool: Int, owner: Int) -> None:
        self._owner = owner
        self._conversation = len(conversation)
        declared = owner != NO_PARAMETER
        words, places = np.unique(np.concatenate((conversation, tool)), return_inverse=True)
        heard, read = np.split(places, [len(conversation)])
        # Which words each parameter has; the last row, which is also row NO_PARAMETER, is that of none.
        has = np.zeros((int(owner.max(initial=NO_PARAMETER)) + 2, len(words)), np.float32)
        has[owner[declared], read[declared]] = 1.0
        has[:, words == 0] = 0.0  # no word
        shares = has / np.maximum(has.sum(0), 1.0)
        self._shares = shares[:, heard]  # [P + 1, C]
        self._said = shares[owner, read] * np.isin(tool, conversation)  # [T]
        mentioned = np.zeros(len(has), np.float32)
        np.maximum.at(mentioned, owner, self._said)
        self._mentioned = mentioned[owner]  # [T]
        self._features: dict[int, Float] = {}

    def features(self, parameter: int) -> Float:
        """[C + T, FEATURES], for the tokens to be written of this parameter, or of none.

        Of a token of the conversation: how much each token up to REACH before and behind it is linked to the parameter,
        and then to others. Of a token of the tool: how much it is linked to the conversation, if it is in the
        parameter's lines; whether it is; and how much the conversation mentions the parameter that it is of.
        """
        if parameter not in self._features:
            self._features[parameter] = self._make(parameter)
        return self._features[parameter]

    def _make(self, parameter: int) -> Float:
        split = self._conversation
        features = np.zeros((split + len(self._owner), FEATURES), np.float32)
        own = self._shares[parameter]
        for k, links in enumerate((own, self._shares.sum(0) - own)):
            padded = np.pad(links, REACH)
            windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
            features[:split, k * WINDOW : (k + 1) * WINDOW] = windows
        lines = (self._owner == parameter) & (parameter != NO_PARAMETER)
        features[split:, -3] = lines * self._said
        features[split:, -2] = lines
        features[split:, -1] = self._mentioned
        return features


def overlaps(said: Int, tools: Sequence[tuple[Int, Int]]) -> Float:
    """[len(tools), OVERLAPS]: how many words a request shares with each candidate of a slot.

    `said` are the words of the conversation's end, each of `tools` those of its head and those of its parameters. The
    share of the head's words that are said, and of the said words that are the tool's; and, as ln(1 + n), how many
    words of the head are said, how many of the parameters and not of the head, and the same two for words that no other
    candidate has there.
    """
    asked = set(said.tolist()) - {0}
    heads = [set(head.tolist()) - {0} for head, _ in tools]
    rests = [set(rest.tolist()) - {0} - head for (_, rest), head in zip(tools, heads, strict=True)]
    found = np.zeros((len(tools), OVERLAPS), np.float32)
    for k, (head, rest) in enumerate(zip(heads, rests, strict=True)):
        of_head, of_rest = head & asked, rest & asked
        own_head, own_rest = (
            sum(all(word not in other for j, other in enumerate(all_of) if j != k) for word in shared)
            for shared, all_of in ((of_head, heads), (of_rest, rests))
        )
        counts = np.log1p(np.array([len(of_head), len(of_rest), own_head, own_rest]))
        shares = len(of_head) / max(len(head), 1), len(of_head | of_rest) / max(len(asked), 1)
        found[k] = [*shares, *counts]
    return found
