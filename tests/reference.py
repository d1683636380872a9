"""The decoder written a second time, for reading rather than speed: no cache, no batch, whole distributions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.grammar import GrammarCompiler
from model.prompt import Prompt, encode_messages, encode_tool
from model.schema import normalise
from model.tokenizer import END, NONE, SLOT, SPECIAL_TOKENS, Tokenizer
from model.types import GenerationRequest
from model.whole_words import Read, WholeWords
from training.config import ModelConfig
from training.network import Network


def matches(source: Sequence[int], twins: npt.NDArray[np.int64], written: Sequence[int]) -> list[int]:
    """For each source position, how many of the last three written tokens stand right before it."""
    plain = [token >= len(SPECIAL_TOKENS) for token in source]
    lengths = []
    for position in range(len(source)):
        count = 0
        while plain[position] and count < 3 and count < len(written) and count < position:
            here, token = position - 1 - count, written[-1 - count]
            if not plain[here] or token < len(SPECIAL_TOKENS) or token not in (source[here], twins[source[here]]):
                break
            count += 1
        lengths.append(count)
    return lengths


def links(
    said: Sequence[int], tool: Sequence[int], ranges: dict[str, tuple[int, int]], name: str | None
) -> list[list[float]]:
    """The features of each token of a conversation and of a tool, all given as words, while `name` is written."""
    having = {n: set(tool[start:end]) - {0} for n, (start, end) in ranges.items()}

    def share(word: int, n: str) -> float:
        return 1 / sum(word in h for h in having.values()) if word in having[n] else 0.0

    own = [share(word, name) if name in having else 0.0 for word in said]
    others = [sum(share(word, n) for n in having if n != name) for word in said]

    def around(values: list[float], place: int) -> list[float]:
        return [values[i] if 0 <= i < len(values) else 0.0 for i in range(place - 6, place + 7)]

    features = [[*around(own, place), *around(others, place), 0.0, 0.0, 0.0] for place in range(len(said))]
    for place, word in enumerate(tool):
        of = next((n for n, (start, end) in ranges.items() if start <= place < end), None)
        mentioned = max((share(w, of) for w in set(said)), default=0.0) if of is not None else 0.0
        linked = share(word, of) if of is not None and word in said else 0.0
        mine = of is not None and of == name
        features.append([*[0.0] * 26, linked * mine, float(mine), mentioned])
    return features


def overlap(said: Sequence[int], heads: Sequence[Sequence[int]], rests: Sequence[Sequence[int]]) -> list[list[float]]:
    """What the words of a conversation's end have in common with the heads and parameters of a slot's candidates."""
    asked = [w for w in sorted(set(said)) if w]
    features = []
    for k, head in enumerate(heads):
        bodies = [[w for w in rest if w not in heads[j]] for j, rest in enumerate(rests)]
        in_head, in_rest = [w for w in asked if w in head], [w for w in asked if w in bodies[k]]
        alone = [w for w in in_head if sum(w in h for h in heads) == 1]
        alone_rest = [w for w in in_rest if sum(w in b for b in bodies) == 1]
        features.append(
            [
                len(in_head) / max(1, len(set(head) - {0})),
                len(in_head + in_rest) / max(1, len(asked)),
                *(math.log(1 + len(found)) for found in (in_head, in_rest, alone, alone_rest)),
            ]
        )
    return features


def parameter_at(text: str) -> str | None:
    """The top-level key whose value the beginning of a compact JSON object ends in; right behind the key is in it."""
    name, depth, at = None, 0, 0
    while at < len(text):
        if text[at] == '"':
            string = re.match(r'"(?:[^"\\]|\\.)*"', text[at:])
            if string is None:
                break  # the string has no end yet
            at += string.end()
            if name is None and depth == 1:
                name = json.loads(string[0])
            continue
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(text[at], 0)
        if depth == 0 or (text[at] == "," and depth == 1):
            name = None
        at += 1
    return name


@dataclass(frozen=True)
class Text:
    """An encoded prompt: `keys`, `values` [layers, T, kv_width], `copy_keys` [T, copy_width], `pooled` [width].

    `parameters` are a tool's parameters' vectors [width], `ranges` where in `ids` they are declared, by name.
    """

    ids: list[int]
    pool: tuple[int, int]
    ranges: dict[str, tuple[int, int]]
    pooled: Tensor
    parameters: dict[str, Tensor]
    keys: Tensor
    values: Tensor
    copy_keys: Tensor


@dataclass
class Call:
    """One call of an answer: its tool, the argument tokens so far, and which of them were free choices."""

    tool: Text
    tokens: list[int] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)

    def write(self, tokens: Sequence[int], chosen: bool) -> None:
        self.tokens += tokens
        self.chosen += [chosen] * len(tokens)


class WholeAttention:
    """`training.network.Attention` of one row of L tokens, all of them new; `reads` [L, S]: which sources they see."""

    def __init__(self, config: ModelConfig, keys: Tensor, values: Tensor, reads: Tensor) -> None:
        self.width, self.keys, self.values, self.reads = config.head_width, keys, values, reads

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self._attend(q, k, v, torch.ones(len(q), len(q), dtype=torch.bool).tril())

    def read(self, layer: int, q: Tensor) -> Tensor:
        return self._attend(q, self.keys[layer], self.values[layer], self.reads)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
        """q [L, H*d]; k, v [S, G*d]; H/G query heads in a row share a head of the keys and values."""
        queries, keys, values = (x.unflatten(-1, (-1, self.width)).transpose(0, 1) for x in (q, k, v))
        share = len(queries) // len(keys)
        keys, values = (x.repeat_interleave(share, dim=0) for x in (keys, values))
        scores = queries @ keys.transpose(1, 2) * self.width**-0.5
        attention = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        return (attention @ values).transpose(0, 1).flatten(1)


class Reference:
    """One answer of `network`, in progress: the conversation, and the calls so far."""

    def __init__(self, network: Network, tokenizer: Tokenizer, conversation: Prompt) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.conversation = self.read(conversation)
        self.calls: list[Call] = []

    def read(self, prompt: Prompt) -> Text:
        pool = torch.zeros(1, len(prompt.ranges), len(prompt.ids))
        for k, (start, end) in enumerate(prompt.ranges):
            pool[0, k, start:end] = 1.0
        encoded = self.network.encoder(torch.tensor([prompt.ids]), pool)
        pooled, *vectors = encoded.pooled[0]
        parameters = dict(zip(prompt.names, vectors, strict=True))
        ranges = dict(zip(prompt.names, prompt.parameters, strict=True))
        return Text(
            prompt.ids,
            prompt.pool,
            ranges,
            pooled,
            parameters,
            encoded.keys[:, 0],
            encoded.values[:, 0],
            encoded.copy_keys[0],
        )

    def _hidden(self, last: Text | None | str) -> Tensor:
        """The states of all tokens [L, width]; `last` adds a slot for a tool, one for NONE (None), or nothing ("")."""
        config = self.network.config
        calls: list[tuple[Text | None, list[int]]] = [(c.tool, c.tokens) for c in self.calls]
        if not isinstance(last, str):
            calls.append((last, []))
        ids: list[int] = []
        vectors: list[Tensor] = []
        nothing = torch.zeros(config.width)
        reads: list[int] = []  # which call's tool a token reads
        for k, (tool, tokens) in enumerate(calls):
            ids += [NONE if tool is None else SLOT, *tokens]
            vectors.append(nothing if tool is None else tool.pooled)
            for length in range(1, len(tokens) + 1):
                name = parameter_at(self.tokenizer.decode(tokens[:length]))
                vectors.append(nothing if tool is None or name is None else tool.parameters.get(name, nothing))
            reads += [k] * (1 + len(tokens))
        texts = [self.conversation, *(tool for tool, _ in calls)]
        memories = [(k - 1, t.keys, t.values) for k, t in enumerate(texts) if t is not None]
        if not isinstance(last, str):  # a slot sees what the calls before it have copied of the conversation
            memories.append((-2, *self._covered()))
        keys, values = (torch.cat([memory[k] for memory in memories], 1) for k in (1, 2))
        owner = torch.tensor([k for k, text, _ in memories for _ in range(text.shape[1])])
        conversation = torch.full((len(ids), 1), -1)
        if not isinstance(last, str):
            conversation[-1] = -2
        allowed = (owner[None] == conversation) | (owner[None] == torch.tensor(reads)[:, None])
        attention = WholeAttention(config, keys, values, allowed)
        return self.network.decoder(torch.tensor(ids), torch.stack(vectors), torch.arange(len(ids)), attention)

    def _covered(self) -> tuple[Tensor, Tensor]:
        """The conversation's keys and values [layers, T, kv_width] as the next slot reads them."""
        here = self.conversation
        copied = torch.zeros(len(here.ids))
        for total in self.copied(self._hidden("")) if self.calls else []:
            copied += total[: len(copied)]
        added = self.network.decoder.covered.unflatten(0, (len(here.keys), 2, 1, -1))
        copied = copied.clamp(max=1.0)[:, None]
        return here.keys + copied * added[:, 0], here.values + copied * added[:, 1]

    def route(self, candidates: Sequence[Text]) -> list[Tensor]:
        """The score of each candidate at the next slot, and last that of NONE."""
        words = self.tokenizer.words
        start, end = self.conversation.pool
        heads = [words[tool.ids[: tool.pool[1]]].tolist() for tool in candidates]
        rests = [words[tool.ids[tool.pool[1] :]].tolist() for tool in candidates]
        shared = overlap(words[self.conversation.ids[start:end]].tolist(), heads, rests)
        scores = []
        for tool, features in zip((*candidates, None), torch.tensor([*shared, [0.0] * 6]), strict=True):
            similarity = torch.tensor(0.0) if tool is None else self.conversation.pooled @ tool.pooled
            scores.append(self.network.decoder.route_scores(self._hidden(tool)[-1], similarity, features))
        return scores

    def _copy_scores(self, call: Call, length: int, hidden: Tensor) -> Tensor:
        """Behind the first `length` tokens of a call: the score of each token of conversation and tool, uncovered."""
        decoder = self.network.decoder
        keys = torch.cat((self.conversation.copy_keys, call.tool.copy_keys))
        bonus = [torch.tensor(0.0), *decoder.copy_match.cumsum(0)]
        found = matches([*self.conversation.ids, *call.tool.ids], self.tokenizer.twins, call.tokens[:length])
        scores = keys @ decoder.copy_query(hidden) * keys.shape[-1] ** -0.5 + torch.stack([bonus[m] for m in found])
        said, declared = (self.tokenizer.words[text.ids].tolist() for text in (self.conversation, call.tool))
        name = parameter_at(self.tokenizer.decode(call.tokens[:length]))
        features = torch.tensor(links(said, declared, call.tool.ranges, name))
        return scores + features @ decoder.copy_link(hidden)

    def copied(self, hidden: Tensor) -> list[Tensor]:
        """Of each call, how often each token of conversation and tool [S] has been copied: not bounded by 1.

        A chosen token is divided among the source tokens that spell it, by what attention copying paid them.
        """
        found, start = [], 0
        for call in self.calls:
            source = torch.tensor([*self.conversation.ids, *call.tool.ids])
            twins = torch.from_numpy(self.tokenizer.twins)[source]
            total = torch.zeros(len(source))
            for k, (token, chosen) in enumerate(zip(call.tokens, call.chosen, strict=True)):
                spelling = ((source == token) | (twins == token)).nonzero().flatten()
                if chosen and len(spelling):
                    attention = self._copy_scores(call, k, hidden[start + k]).softmax(-1)[spelling].detach()
                    total[spelling] += attention / attention.sum()
            found.append(total)
            start += 1 + len(call.tokens)
        return found

    def next_token(self) -> Tensor:
        """The distribution over the vocabulary behind the last call's last token."""
        decoder, call = self.network.decoder, self.calls[-1]
        states = self._hidden("")
        *earlier, used = self.copied(states)
        split = len(self.conversation.ids)
        before = torch.zeros(len(used))
        for past, total in zip(self.calls, earlier, strict=False):
            before[:split] += total[:split]
            if past.tool is call.tool:
                before[split:] += total[split:]
        hidden = states[-1]
        scores = self._copy_scores(call, len(call.tokens), hidden)
        here, there = decoder.copy_used(hidden)
        attention = (scores + here * used.clamp(max=1.0) + there * before.clamp(max=1.0)).softmax(-1)
        vocabulary, copy, copy_twin = decoder.gates(hidden)
        distribution = vocabulary * decoder.vocab_logits(hidden[None])[0].softmax(-1)
        source = torch.tensor([*self.conversation.ids, *call.tool.ids])
        distribution = distribution.index_add(0, source, copy * attention)
        return distribution.index_add(0, torch.from_numpy(self.tokenizer.twins)[source], copy_twin * attention)


@torch.no_grad()
def greedy(
    network: Network, tokenizer: Tokenizer, compiler: GrammarCompiler, request: GenerationRequest, most_calls: int
) -> list[tuple[str, str]]:
    """The calls of `network` under the grammar, token by token; `tool_choice` is "required" or "auto"."""
    reference = Reference(network, tokenizer, encode_messages(request.messages, tokenizer))
    tools = [reference.read(encode_tool(t, tokenizer)) for t in request.tools]
    calls: list[tuple[str, str]] = []
    while len(calls) < most_calls:
        scores = [float(score) for score in reference.route(tools)]
        if request.tool_choice.mode == "required" and not calls:
            scores[-1] = -np.inf
        chosen = int(np.argmax(scores))
        if chosen == len(tools):
            break
        call = Call(tools[chosen])
        reference.calls.append(call)
        matcher = compiler.compile(normalise(request.tools[chosen].parameters, "parameters")).matcher()
        ids = np.array([*reference.conversation.ids, *call.tool.ids])
        words = WholeWords(Read(ids, tokenizer.twins[ids], tokenizer.shapes))
        while not matcher.finished:
            step = matcher.forced()
            free = not step
            if free:
                probabilities, weights = reference.next_token().numpy(), words.weights()
                probabilities = probabilities if weights is None else probabilities * weights
                step = [int(np.argmax(np.where(matcher.allowed(), probabilities, -1.0)))]
            matcher.accept(step)
            words.feed(step)
            call.write(step, free)
        calls.append((request.tools[chosen].name, tokenizer.decode(call.tokens)))
    return calls


def make_compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
