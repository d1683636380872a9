"""The training loop, top to bottom. Runs from a folder of shards on CPU or one GPU; resumes where it stopped."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model.tokenizer import Tokenizer
from training.checkpoint import load_checkpoint, save_checkpoint, write_history
from training.config import ModelConfig, TrainConfig
from training.data.batches import Batch, build_batch, epoch_batches, training_batches
from training.data.shards import ExampleTable, ToolTable, load_description, load_examples, load_tools
from training.loss import Losses, compute_losses
from training.network import Encoder, Network
from training.plot import plot_history
from training.warm_start import load_weights, warm_start

ANCHOR_ROWS = 8  # texts per step on which the encoder is held near its start; a sample is enough for a soft hold
LOG_EVERY = 20


def train(
    shards: Path, run: Path, config: TrainConfig, model_config: ModelConfig | None = None, init: str = "minilm"
) -> Network:
    """Train until `config.steps`, leaving `checkpoint.pt`, `history.jsonl` and `loss.png` in `run`.

    Args:
        shards: what `bodkin data prepare` wrote.
        run: this run's folder; a checkpoint in it is resumed, with the same batches as if never interrupted.
        init: "minilm", "random", or the path of a safetensors file with network weights. Ignored on resume.
    """
    load_description(shards)
    tokenizer = Tokenizer.load(shards / "tokenizer.json")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tools, examples, heldout = load_tools(shards), load_examples(shards, "train"), load_examples(shards, "heldout")
    torch.manual_seed(config.seed)
    network = Network(model_config or ModelConfig(vocab_size=tokenizer.vocab_size))
    if init == "minilm":
        warm_start(network, tokenizer)
    elif init != "random":
        load_weights(network, Path(init))
    network.to(device)
    reference = copy.deepcopy(network.encoder).eval().requires_grad_(False)
    optimizer = make_optimizer(network, config)
    step, history = 0, []
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        state = load_checkpoint(checkpoint)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        step, history = state["step"], state["history"]
    twins = torch.from_numpy(tokenizer.twins).to(device)
    validation = [b.to(device) for b in validation_batches(heldout, tools, config)]

    run.mkdir(parents=True, exist_ok=True)
    batches = training_batches(examples, tools, config.rows, config.candidates, config.seed, start=step)
    last_saved = time.monotonic()
    recent: list[Tensor] = []
    started = time.monotonic()
    network.train()
    with tqdm(total=config.steps, initial=step, unit="step", dynamic_ncols=True) as bar:
        while step < config.steps:
            set_learning_rate(optimizer, step, config)
            losses = training_step(network, reference, next(batches).to(device), twins, optimizer, config)
            step += 1
            recent.append(losses)
            bar.update()
            if step % LOG_EVERY == 0 or step == config.steps:
                mean = torch.stack(recent).mean(0).tolist()
                row = {"step": step, "examples": step * config.rows, **dict(zip(Losses._fields, mean, strict=True))}
                row["examples_per_second"] = len(recent) * config.rows / (time.monotonic() - started)
                recent, started = [], time.monotonic()
                bar.set_postfix_str(
                    f"fill {row['fill']:.3f} route {row['route']:.3f} {row['examples_per_second']:.0f}/s"
                )
                if step % config.eval_every < LOG_EVERY or step == config.steps:
                    row |= {f"heldout_{k}": v for k, v in evaluate(network, validation, twins).items()}
                    bar.write(" ".join(f"{k}={v:.4g}" for k, v in row.items()))
                history.append(row)
            if time.monotonic() - last_saved > 60 * config.checkpoint_minutes or step == config.steps:
                save_checkpoint(checkpoint, network, optimizer, step, history, config)
                write_history(run / "history.jsonl", history)
                plot_history(run / "loss.png", history)
                last_saved = started = time.monotonic()
    return network.eval()


def training_step(
    network: Network,
    reference: Encoder,
    batch: Batch,
    twins: Tensor,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
) -> Tensor:
    """One optimiser step; returns the batch's `Losses` as one tensor."""
    with torch.autocast(batch.query_ids.device.type, torch.bfloat16):
        losses, query = compute_losses(network, batch, twins)
        loss = losses.fill + losses.route + config.contrastive_weight * losses.contrast
        if config.anchor_weight:
            loss = loss + config.anchor_weight * anchor_loss(query.pooled, reference, batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.grad_clip)
    optimizer.step()
    return torch.stack([x.detach().float() for x in losses])


def anchor_loss(pooled: Tensor, reference: Encoder, batch: Batch) -> Tensor:
    """1 - cosine between a few conversations' vectors and those of the encoder as it was before training."""
    with torch.no_grad():
        before = reference(batch.query_ids[:ANCHOR_ROWS], batch.query_pool[:ANCHOR_ROWS]).pooled
    return 1.0 - (pooled[:ANCHOR_ROWS] * before).sum(-1).mean()


def make_optimizer(network: Network, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with a lower rate for what comes from the warm start; no decay on vectors and embeddings."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        inherited = name.startswith("encoder.") and not name.startswith(("encoder.cross", "encoder.copy_key"))
        rate = config.encoder_lr if inherited else config.decoder_lr
        decay = (
            config.weight_decay if parameter.ndim > 1 and "embedding" not in name and "positions" not in name else 0.0
        )
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": r, "base_lr": r, "weight_decay": d} for (r, d), p in groups.items()],
        betas=(0.9, 0.98),
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, config: TrainConfig) -> None:
    """Warmup, stable, decay to zero over the last `config.decay` of the steps."""
    left = (config.steps - step) / max(1.0, config.decay * config.steps)
    factor = min(1.0, (step + 1) / config.warmup, left)
    for group in optimizer.param_groups:
        group["lr"] = factor * group["base_lr"]


def validation_batches(heldout: ExampleTable, tools: ToolTable, config: TrainConfig) -> Iterator[Batch]:
    """At most eight fixed batches of held-out examples."""
    rows = min(config.rows, len(heldout))
    for k, indices in enumerate(epoch_batches(heldout, rows, seed=0)[:8]):
        yield build_batch(heldout, tools, indices, config.candidates, np.random.default_rng(k))


@torch.no_grad()
def evaluate(network: Network, batches: list[Batch], twins: Tensor) -> dict[str, float]:
    """Mean losses and accuracies over `batches`."""
    network.eval()
    rows = []
    for batch in batches:
        with torch.autocast(batch.query_ids.device.type, torch.bfloat16):
            losses, _ = compute_losses(network, batch, twins)
        rows.append(torch.stack([x.float() for x in losses]))
    network.train()
    return dict(zip(Losses._fields, torch.stack(rows).mean(0).tolist(), strict=True))
