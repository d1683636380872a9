"""The decoder written a second time, for reading rather than speed: no cache, no batch, whole distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.grammar import GrammarCompiler
from model.prompt import Prompt, encode_messages, encode_tool
from model.schema import normalise
from model.tokenizer import END, NONE, SLOT, SPECIAL_TOKENS, Tokenizer
from model.types import GenerationRequest
from training.network import MASKED, Network


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


@dataclass(frozen=True)
class Text:
    """An encoded prompt: `keys`, `values` [layers, T, kv_width], `copy_keys` [T, copy_width], `pooled` [width]."""

    ids: list[int]
    pooled: Tensor
    keys: Tensor
    values: Tensor
    copy_keys: Tensor


class Reference:
    """One answer of `network`, in progress: the conversation, and the calls so far as (tool, its argument tokens)."""

    def __init__(self, network: Network, tokenizer: Tokenizer, conversation: Prompt) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.conversation = self.read(conversation)
        self.calls: list[tuple[Text, list[int]]] = []

    @torch.no_grad()
    def read(self, prompt: Prompt) -> Text:
        pool = torch.zeros(1, len(prompt.ids))
        pool[0, slice(*prompt.pool)] = 1.0
        encoded = self.network.encoder(torch.tensor([prompt.ids]), pool)
        return Text(prompt.ids, encoded.pooled[0], encoded.keys[:, 0], encoded.values[:, 0], encoded.copy_keys[0])

    @torch.no_grad()
    def _hidden(self, last: Text | None | str) -> Tensor:
        """The state of the last token; `last` adds a slot for a tool, one for NONE (None), or nothing ("")."""
        config = self.network.config
        calls = [*self.calls, (last, [])] if not isinstance(last, str) else self.calls
        ids: list[int] = []
        slots: list[Tensor] = []
        reads: list[int] = []  # which call's tool a token reads
        for k, (tool, tokens) in enumerate(calls):
            ids += [NONE if tool is None else SLOT, *tokens]
            pooled = torch.zeros(config.width) if tool is None else tool.pooled
            slots += [pooled] * (1 + len(tokens))
            reads += [k] * (1 + len(tokens))
        texts = [self.conversation, *(tool for tool, _ in calls)]
        keys = torch.cat([t.keys for t in texts if t is not None], 1)[:, None]
        values = torch.cat([t.values for t in texts if t is not None], 1)[:, None]
        owner = torch.tensor([k - 1 for k, t in enumerate(texts) if t is not None for _ in t.ids])
        allowed = (owner[None] == -1) | (owner[None] == torch.tensor(reads)[:, None])
        length = len(ids)
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        nothing = torch.zeros(config.decoder_layers, 1, 0, config.kv_width)
        decoded = self.network.decoder(
            torch.tensor([ids]),
            torch.stack(slots)[None],
            torch.arange(length)[None],
            nothing,
            nothing,
            torch.where(causal, 0.0, MASKED)[None, None],
            keys,
            values,
            torch.where(allowed, 0.0, MASKED)[None, None],
        )
        return decoded.hidden[0, -1]

    @torch.no_grad()
    def route(self, candidates: Sequence[Text]) -> list[float]:
        """The score of each candidate at the next slot, and last that of NONE."""
        scores = []
        for tool in (*candidates, None):
            similarity = torch.tensor(0.0) if tool is None else self.conversation.pooled @ tool.pooled
            scores.append(float(self.network.decoder.route_scores(self._hidden(tool), similarity)))
        return scores

    @torch.no_grad()
    def next_token(self) -> npt.NDArray[np.float64]:
        """The distribution over the vocabulary behind the last call's last token."""
        decoder = self.network.decoder
        hidden = self._hidden("")
        tool, tokens = self.calls[-1]
        source = [*self.conversation.ids, *tool.ids]
        keys = torch.cat((self.conversation.copy_keys, tool.copy_keys))
        scores = (decoder.copy_query(hidden) @ keys.T).numpy() * self.network.config.copy_width**-0.5
        bonus = [0.0, *np.cumsum(decoder.copy_match.numpy()).tolist()]
        scores = scores + np.array([bonus[m] for m in matches(source, self.tokenizer.twins, tokens)])
        attention = np.exp(scores - scores.max())
        attention /= attention.sum()
        vocabulary, copy, copy_twin = decoder.gates(hidden).tolist()
        distribution = vocabulary * decoder.vocab_logits(hidden[None])[0].softmax(-1).double().numpy()
        for token, share in zip(source, attention, strict=True):
            distribution[token] += copy * share
            distribution[self.tokenizer.twins[token]] += copy_twin * share
        return distribution


def greedy(
    network: Network, tokenizer: Tokenizer, compiler: GrammarCompiler, request: GenerationRequest, most_calls: int
) -> list[tuple[str, str]]:
    """The calls of `network` under the grammar, token by token; `tool_choice` is "required" or "auto"."""
    reference = Reference(network, tokenizer, encode_messages(request.messages, tokenizer))
    tools = [reference.read(encode_tool(t, tokenizer)) for t in request.tools]
    calls: list[tuple[str, str]] = []
    while len(calls) < most_calls:
        scores = reference.route(tools)
        if request.tool_choice.mode == "required" and not calls:
            scores[-1] = -np.inf
        chosen = int(np.argmax(scores))
        if chosen == len(tools):
            break
        tokens: list[int] = []
        reference.calls.append((tools[chosen], tokens))
        matcher = compiler.compile(normalise(request.tools[chosen].parameters, "parameters")).matcher()
        while not matcher.finished:
            step = matcher.forced()
            if not step:
                step = [int(np.argmax(np.where(matcher.allowed(), reference.next_token(), -1.0)))]
            matcher.accept(step)
            tokens += step
        calls.append((request.tools[chosen].name, tokenizer.decode(tokens)))
    return calls


def make_compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
