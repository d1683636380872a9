"""A tokenizer like the artifact's, trained in the blink of an eye: the grammar's tests need no artifact."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# Quotes, digits and punctuation stand alone; camelCase splits; a word keeps one leading space.
SPLIT = r" ?[A-Z]+(?![a-z])| ?[A-Z]?[a-z]+| ?\p{L}+|[0-9]|[^\S ]+| +(?! )|[^\s\p{L}0-9]"
TEXTS = [
    'Book a table for two in San Francisco on Friday {"city":"San Francisco","unit":"celsius","days":12}',
    "What is the weather in Paris, in fahrenheit or celsius? celery, celebrate, celestial",
    "true false null description title name value email john@example.com report weekly monthly",
] * 4


class TinyTokenizer:
    """About 500 byte-level tokens; ids 0 and 1 are `<pad>` and `<end>`."""

    end = 1

    def __init__(self) -> None:
        self._tokenizer = Tokenizer(models.BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self._tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=["<pad>", "<end>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._tokenizer.train_from_iterator(TEXTS, trainer)
        self.json_text: str = self._tokenizer.to_str()
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        self._tokenizer.encode_special_tokens = True

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def decode(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens))
