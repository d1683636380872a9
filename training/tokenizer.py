"""Trains the tokenizer: a byte-level BPE in which a leading space never changes how a word is segmented.

1. BPE merges are learned on words without spaces.
2. For the tokens that most often begin a word after a space, a spaced variant `Ġtoken` is added, made by one merge
   `(Ġ, token)` of the lowest rank. All merges inside the word come first, so `" Springfield"` is `"Springfield"` with
   the space on its first piece: each spaced token has a no-leading-space twin, by construction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import regex
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from model.tokenizer import SPECIAL_TOKENS

# One piece: an upper-case run, a (capitalised) word, a run of other letters, one digit, one other character. So
# camelCase and snake_case split, and the text that the grammar forces tokenises like the text that the model chooses.
PIECE = r"\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}[\p{Ll}\p{M}]*|[\p{Lo}\p{Lm}\p{Lt}\p{M}]+|\p{N}|[^\s\p{L}\p{N}\p{M}]"
SPACED_PIECE = rf" ?(?:{PIECE})|\s+(?!\S)|\s"


def train_tokenizer(texts: Iterable[str], vocab_size: int = 14_000, spaced: int = 5_400) -> str:
    """Learn `vocab_size` tokens, `spaced` of them with a leading space; returns the text of a `tokenizer.json`."""
    pieces: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    pattern = regex.compile(PIECE)
    for text in texts:
        for match in pattern.finditer(text):
            pieces[match.group()] += 1
            if match.start() > 0 and text[match.start() - 1] == " ":
                starts[match.group()] += 1
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - spaced,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Counts are capped: past some thousands a word is in the vocabulary anyway, and the trainer sees each occurrence.
    tokenizer.train_from_iterator((p for p, n in pieces.items() for _ in range(min(n, 2_000))), trainer)

    first_pieces: Counter[str] = Counter()
    for word, count in starts.items():
        first_pieces[tokenizer.encode(word).tokens[0]] += count
    config = json.loads(tokenizer.to_str())
    vocab, merges = config["model"]["vocab"], config["model"]["merges"]
    for token, _ in first_pieces.most_common(vocab_size - len(vocab)):
        vocab["Ġ" + token] = len(vocab)
        merges.append(["Ġ", token])
    tokenizer = Tokenizer.from_str(json.dumps(config))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPACED_PIECE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str()
