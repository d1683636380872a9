"""Encoder adaptation: tokens meet the word pieces of the same characters, and their states come nearer."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer as WordPieceTokenizer  # noqa: E402
from tokenizers import models, normalizers, pre_tokenizers, processors  # noqa: E402

from tests.artifact import SENTENCES, tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from training import adapt as module  # noqa: E402
from training import cli  # noqa: E402
from training.adapt import adapt, compare, measure, overlaps, read_both, texts_of  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.data.packing import Packed  # noqa: E402
from training.network import Encoder, Network  # noqa: E402
from training.warm_start import load_weights, original_encoder, save_warm_start, warm_start, word_pieces  # noqa: E402

TINY = ModelConfig.tiny(tokenizer().vocab_size)
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "what", "is", "the", "wea", "##ther", "in", "paris", "12", "##3", "ete")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789?.,:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MiniLM of the tiny network's sizes, with random weights and a few word pieces."""
    made = tmp_path_factory.mktemp("minilm")
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys([*WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)]))}
    pieces = WordPieceTokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    pieces.enable_padding(length=128)
    pieces.enable_truncation(128)
    pieces.save(str(made / "tokenizer.json"))
    draw = torch.Generator().manual_seed(0)
    weights = {}

    def matrix(name: str, *shape: int) -> None:
        weights[name] = 0.3 * torch.randn(*shape, generator=draw)

    def linear(name: str, inputs: int, outputs: int) -> None:
        matrix(f"{name}.weight", outputs, inputs)
        matrix(f"{name}.bias", outputs)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(TINY.width), torch.zeros(TINY.width)

    for name, rows in (("word", len(vocab)), ("position", 512), ("token_type", 2)):
        matrix(f"embeddings.{name}_embeddings.weight", rows, TINY.width)
    norm("embeddings.LayerNorm")
    for i in range(TINY.encoder_layers):
        layer = f"encoder.layer.{i}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{layer}.{name}", TINY.width, TINY.width)
        linear(f"{layer}.intermediate.dense", TINY.width, TINY.feed_forward)
        linear(f"{layer}.output.dense", TINY.feed_forward, TINY.width)
        norm(f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.output.LayerNorm")
    save_file(weights, made / "model.safetensors")
    return made


def warm(folder: Path) -> Network:
    torch.manual_seed(0)
    network = Network(TINY)
    warm_start(network, tokenizer(), folder)
    return network


def aligned(text: str, folder: Path) -> list[tuple[str, list[str]]]:
    """Each token of the text, and the pieces that it is to resemble."""
    pieces = word_pieces(folder)
    pair = read_both(tokenizer(), pieces, [text])
    of: dict[int, list[str]] = {i: [] for i in range(int(pair.ours.length[0]))}
    for token, piece in zip(pair.token.tolist(), pair.piece.tolist(), strict=True):
        of[token].append(pieces.id_to_token(int(pair.theirs.ids[piece])))
    return [(tokenizer().tokens[int(pair.ours.ids[i])], found) for i, found in of.items()]


def test_ranges_that_share_a_character() -> None:
    i, k = overlaps([(0, 2), (2, 3), (3, 6), (6, 6)], [(0, 0), (0, 1), (1, 4), (4, 5), (5, 7)])
    assert [*zip(i.tolist(), k.tolist(), strict=True)] == [(0, 1), (0, 2), (1, 2), (2, 2), (2, 3), (2, 4)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is", [("What", ["what"]), ("Ġis", ["is"])]),
        ("the weather", [("the", ["the"]), ("Ġweather", ["wea", "##ther"])]),
        ("Springfield", [("Springfield", ["s", *(f"##{c}" for c in "pringfield")])]),
        ("123", [("1", ["12"]), ("2", ["12"]), ("3", ["##3"])]),  # digits are tokens of their own
        ("Été", [("Ã", ["ete"]), ("ī", ["ete"]), ("tÃ©", ["ete"])]),  # the bytes of É: C3 89
        ("is\nin", [("is", ["is"]), ("Ċ", []), ("in", ["in"])]),
        ("日 a", [("æĹ", ["[UNK]"]), ("¥", ["[UNK]"]), ("Ġa", ["a"])]),
    ],
)
def test_tokens_meet_the_pieces_of_their_characters(
    text: str, expected: list[tuple[str, list[str]]], folder: Path
) -> None:
    role, *tokens = aligned(text, folder)
    assert role == ("<tool>", [])
    assert tokens == expected


def test_long_texts_are_cut_at_the_same_character_for_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 2)
    assert aligned("the weather in Paris", folder)[1:] == [("the", ["the"]), ("Ġweather", ["wea", "##ther"])]
    pair = read_both(tokenizer(), word_pieces(folder), ["the weather in Paris"])
    assert pair.theirs.length.tolist() == [5]  # [CLS] the wea ##ther [SEP]


def test_minilm_matches_itself_in_full(folder: Path) -> None:
    teacher = original_encoder(TINY, folder)
    pair = read_both(tokenizer(), word_pieces(folder), ["the weather", "Paris", "what is in Paris?"])
    same = pair._replace(ours=pair.theirs, token=pair.piece)
    assert [float(x) for x in compare(teacher, teacher, same)] == pytest.approx([1.0, 1.0], abs=1e-5)


@torch.no_grad()
def test_cosines_of_a_batch_are_those_of_its_texts_alone(folder: Path) -> None:
    """Each text by itself, without padding, and with means where the batch has sums. Role tokens are alike as yet."""
    encoder, teacher, pieces = warm(folder).encoder, original_encoder(TINY, folder), word_pieces(folder)
    sentences = ["the weather", "Paris", "what is in Paris?"]
    texts, tokens = [], []
    for sentence in sentences:
        one = read_both(tokenizer(), pieces, [sentence])
        ours, theirs = alone(encoder, one.ours), alone(teacher, one.theirs)
        texts.append(torch.cosine_similarity(ours.mean(0), theirs.mean(0), dim=0))
        for token in one.token.unique():
            mean = theirs[one.piece[one.token == token]].mean(0)
            tokens.append(torch.cosine_similarity(ours[token], mean, dim=0))
    found = compare(encoder, teacher, read_both(tokenizer(), pieces, sentences))
    torch.testing.assert_close(found.texts, torch.stack(texts).mean(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.tokens, torch.stack(tokens).mean(), atol=1e-5, rtol=1e-5)


def alone(encoder: Encoder, packed: Packed) -> torch.Tensor:
    """The states of the only text, by torch's own attention."""

    def attention(qkv: torch.Tensor) -> torch.Tensor:
        parts = qkv.chunk(3, dim=-1)
        heads = (x.unflatten(-1, (TINY.heads, TINY.head_width)).transpose(0, 1) for x in parts)
        return torch.nn.functional.scaled_dot_product_attention(*heads).transpose(0, 1).flatten(1)

    length = int(packed.length[0])
    return encoder.states(packed.ids[:length], torch.arange(length), attention)


def test_a_few_steps_come_nearer_and_leave_the_decoder_alone(folder: Path) -> None:
    network = warm(folder)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    texts = [*SENTENCES[:6], "weather in Paris"]
    before, after = adapt(network, tokenizer(), iter(texts * 40), SENTENCES[6:7], 30, len(texts), 3e-3, folder)
    assert after.texts > before.texts + 0.03
    assert after.tokens > before.tokens + 0.03
    assert after == measure(
        network.encoder, original_encoder(TINY, folder), tokenizer(), word_pieces(folder), SENTENCES[6:7]
    )
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, first[name])}
    assert {"encoder.embedding.weight", "encoder.positions.weight", "encoder.layers.0.qkv.weight"} <= moved
    shared = {name for name in moved if name.endswith("embedding.weight")}  # encoder and decoder have one
    assert all(name.startswith("encoder.") for name in moved - shared)
    assert not moved & {"encoder.cross.weight", "encoder.copy_key.weight"}


def test_the_same_seed_gives_the_same_file_and_it_is_a_start(folder: Path, tmp_path: Path) -> None:
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(28, 0), corpus.examples(7, 1))
    files = []
    for seed in (1, 1, 2):
        network = warm(folder)
        adapt(network, tokenizer(), texts_of(shards, tokenizer(), seed), ["Paris"], 4, 8, 1e-3, folder)
        files.append(tmp_path / f"{len(files)}.safetensors")
        save_warm_start(files[-1], network)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert not list(tmp_path.glob(".*"))
    start = Network(TINY)
    load_weights(start, files[2])
    torch.testing.assert_close(
        start.encoder.layers[1].up.weight, network.encoder.layers[1].up.weight, atol=1e-3, rtol=1e-3
    )
    assert not {name for name in load_file(files[2]) if "cross" in name or "copy_key" in name}


def test_the_texts_are_each_conversation_and_tool_once_a_pass(tmp_path: Path) -> None:
    train, heldout = corpus.examples(7, 0), [corpus.example("trivia", "Who is Ann?", (corpus.PING,))]
    shards = corpus.write_shards(tmp_path / "shards", train, heldout)
    count = len(train) + len({tool.name for example in train for tool in example.tools})
    texts = texts_of(shards, tokenizer(), 0)
    first, second = list(islice(texts, count)), list(islice(texts, count))
    assert first != second and sorted(first) == sorted(second)
    assert "Transfer" in " ".join(first) and "transfer: Move money between accounts.\n amount* integer" in first
    assert {example.messages[-1].text for example in train} <= set(first)
    assert set(islice(texts_of(shards, tokenizer(), 0, "heldout"), 9)) == {"Who is Ann?", "ping: Answer at once."}


@pytest.fixture
def small(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of `bodkin init`, for a tiny network and the tiny MiniLM."""
    monkeypatch.setattr("training.warm_start.minilm_folder", lambda: folder)
    monkeypatch.setattr("training.config.ModelConfig", lambda vocab_size: ModelConfig.tiny(vocab_size))
    (tmp_path / "tokenizer.json").write_text(tokenizer().json_text, encoding="utf-8")
    return ["--tokenizer", str(tmp_path / "tokenizer.json"), "--out", str(tmp_path / "runs" / "a.safetensors")]


def test_the_command(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(28, 0), corpus.examples(7, 1))
    assert cli.init(small) == 0
    plain = load_file(tmp_path / "runs" / "a.safetensors")
    assert "cosine" not in capsys.readouterr().out
    assert cli.init([*small, "--adapt", "8", "--shards", str(shards), "--rows", "8", "--lr", "3e-3"]) == 0
    adapted = load_file(tmp_path / "runs" / "a.safetensors")
    assert plain.keys() == adapted.keys()
    name = "encoder.layers.0.down.weight"
    assert plain[name].dtype == adapted[name].dtype == torch.float16 and not torch.equal(plain[name], adapted[name])
    said = capsys.readouterr().out.split()
    before, after = (float(said[said.index(word) - 1]) for word in ("before", "after,"))
    assert -1 < before < after < 1


def test_without_shards_it_says_so(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.init([*small, "--adapt", "1", "--shards", str(tmp_path)]) == 1
    assert f"bodkin init: no shards in {tmp_path}: `bodkin data prepare` writes them" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_is_measured_is_not_trained_on(
    folder: Path, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two splits here share conversations and tools."""
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(28, 0), corpus.examples(7, 0))
    seen: list[set[str]] = []

    def note(network: Network, _: object, texts: object, measured: list[str], *rest: object) -> tuple[str, str]:
        seen.append(set(islice(texts, 200)))  # type: ignore[call-overload]
        seen.append(set(measured))
        return "", ""

    monkeypatch.setattr(module, "adapt", note)
    module.adapt_on(shards, warm(folder), tokenizer(), 1, 8, 1e-3, 0)
    trained, measured = seen
    assert len(trained) > 10 and len(measured) > 10
    assert not trained & measured
