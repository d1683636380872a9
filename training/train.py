"""The training loop, top to bottom. Runs from a folder of shards on CPU, one GPU or several; resumes where it stopped.

A step is `config.accumulate` micro-batches of `config.rows` examples. Each is a sum of means of its own, and gradients
are averaged over them, so it does not matter which process computes which: two processes with one micro-batch each take
the same step as one process with two.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model.tokenizer import Tokenizer
from training.checkpoint import Progress, load_checkpoint, save_checkpoint, write_history
from training.config import ModelConfig, TrainConfig
from training.data.batches import Batch, build_batch, epoch_batches, training_batches
from training.data.loader import Draw, ahead, in_turn
from training.data.shards import ExampleTable, ToolTable, load_description, load_examples, load_tools
from training.distributed import World, join_world
from training.loss import Losses, anchor_loss, compute_losses
from training.memory import faster_allocator, keep_freed_memory, return_freed_memory
from training.network import Encoder, Network, Spelling
from training.optimizer import Optimizers, make_optimizer, set_learning_rate
from training.plot import plot_history
from training.throughput import Meter, matmul_peak
from training.warm_start import load_weights, warm_start

LOG_EVERY = 20


def train(
    shards: Path,
    run: Path,
    config: TrainConfig,
    model_config: ModelConfig | None = None,
    init: str = "minilm",
    draw_batches: Callable[..., Iterator[Batch]] = training_batches,
    draw_validation: Callable[..., Iterator[Batch]] | None = None,
    more: Sequence[Path] = (),
) -> Network:
    """Train to the end of `config`, leaving `checkpoint.pt`, `history.jsonl` and `loss.png` in `run`.

    Args:
        shards: what `bodkin data prepare` wrote.
        run: this run's folder; a checkpoint in it is resumed, with the same batches as if never interrupted.
        init: "minilm", "random", or the path of an artifact folder, a checkpoint or a safetensors file with network
            weights. Not looked at on resume.
        draw_batches, draw_validation: the batches to learn from and those to measure on, called like `training_batches`
            and `validation_batches`, which it is by default.
        more: further shards to learn from, of the same tokenizer; every batch is of one folder, and they take turns.
            Held-out losses are measured on `shards` alone.

    Returns the network as it is at the end or, with `config.patience`, as it was when its held-out loss was lowest.
    """
    folders = [shards, *more]
    for folder in folders:
        load_description(folder)
        if (folder / "tokenizer.json").read_bytes() != (shards / "tokenizer.json").read_bytes():
            raise ValueError(f"{folder} has another tokenizer than {shards}: prepare both with the same one")
    keep_freed_memory()
    with join_world() as world:
        return _train(
            world, folders, run, config, model_config, init, draw_batches, draw_validation or validation_batches
        )


def _train(
    world: World,
    folders: Sequence[Path],
    run: Path,
    config: TrainConfig,
    model_config: ModelConfig | None,
    init: str,
    draw_batches: Callable[..., Iterator[Batch]],
    draw_validation: Callable[..., Iterator[Batch]],
) -> Network:
    share = world.share(config.accumulate)
    tokenizer = Tokenizer.load(folders[0] / "tokenizer.json")
    draw = in_turn([_drawn_from(folder, config, draw_batches) for folder in folders])
    tools, heldout = load_tools(folders[0]), load_examples(folders[0], "heldout")
    checkpoint = run / "checkpoint.pt"
    state = load_checkpoint(checkpoint) if checkpoint.exists() else None
    torch.manual_seed(config.seed)  # the same weights in every process; nothing after this is random but by the step
    network = Network(model_config or ModelConfig(vocab_size=tokenizer.vocab_size))
    if state is None:
        initialise(network, tokenizer, init)
    # The encoder as it was before training, for the anchor loss: a resumed run must not take the trained one for it.
    reference = copy.deepcopy(network.encoder).eval().requires_grad_(False)
    network.to(world.device)
    reference.to(world.device)
    network.set_dropout(config.dropout, config.word_dropout)  # behind the copy, which drops nothing
    optimizer = make_optimizer(network, config)
    progress = Progress()
    if state is not None:
        network.load_state_dict(state["network"])
        reference.load_state_dict(state["reference"])
        optimizer.load_state_dict(state["optimizer"])
        progress = Progress.of(state)
        del state
    spelling = Spelling.of(tokenizer, world.device)
    validation = [b.to(world.device) for b in draw_validation(heldout, tools, config)] if world.leads else []
    meter = Meter(matmul_peak(world.device, torch.bfloat16 if config.precision == "bf16" else torch.float32))
    if world.leads:
        run.mkdir(parents=True, exist_ok=True)
        print(f"{world.size} x {world.device.type}, matrix products at {meter.peak / 1e12:.2f} TFLOP/s each")
        if world.device.type == "cpu" and (variables := faster_allocator()):
            print(f"a long run is faster with {variables} in the environment")

    # This process's micro-batches: of the run's one sequence, every `world.size`-th.
    first = progress.step * config.accumulate + world.rank
    batches = ahead(draw, first, world.size, config.workers)
    if config.patience and world.leads and not progress.best:
        watch(progress, evaluate(network, validation, spelling, config), network, config)
    begun = time.monotonic() - progress.seconds
    last_saved = time.monotonic()
    recent: list[Tensor] = []
    network.train()
    meter.restart()
    done = done_share(progress, config)
    with tqdm(
        total=config.steps or None, initial=progress.step, unit="step", dynamic_ncols=True, disable=not world.leads
    ) as bar:
        while done < 1.0:
            factor = set_learning_rate(optimizer, progress.step, done, config)
            optimizer.zero_grad()
            for k in range(share):
                number = progress.step * config.accumulate + world.rank + k * world.size
                torch.manual_seed(config.seed * 1_000_003 + number)  # what is dropped depends on the micro-batch alone
                with nullcontext() if recent else meter.counting():
                    recent.append(backward(network, reference, next(batches).to(world.device), spelling, config))
            update(network, optimizer, world, config)
            progress.step += 1
            progress.seconds = world.agree(time.monotonic() - begun)
            done = done_share(progress, config)
            bar.update()
            if progress.step % LOG_EVERY and done < 1.0:
                continue
            # Logged, and only then saved: no measurement of an interrupted run is lost between two checkpoints.
            losses = torch.stack(recent).mean(0) / world.size
            world.add([losses])
            if world.leads:
                examples_seen = progress.step * config.rows * config.accumulate
                row: dict[str, float] = {"step": progress.step, "examples": examples_seen}
                row |= {"seconds": progress.seconds, "lr_factor": factor}
                row |= dict(zip(Losses._fields, losses.tolist(), strict=True))
                row |= meter.read(len(recent), config.rows, world.size)
                bar.set_postfix_str(
                    f"fill {row['fill']:.3f} route {row['route']:.3f} {row['examples_per_second']:.0f}/s "
                    f"{row['tflops']:.2f} TFLOP/s ({row['utilisation']:.0%})"
                )
                if progress.step % config.eval_every < LOG_EVERY or done >= 1.0:
                    measured = evaluate(network, validation, spelling, config)
                    row |= {f"heldout_{k}": v for k, v in measured.items()}
                    if config.patience:
                        watch(progress, measured, network, config)
                    bar.write(" ".join(f"{k}={v:.4g}" for k, v in row.items()))
                progress.history.append(row)
                write_history(run / "history.jsonl", progress.history)
                if time.monotonic() - last_saved > 60 * config.checkpoint_minutes or done >= 1.0:
                    save_checkpoint(checkpoint, network, reference, optimizer, progress, config)
                    plot_history(run / "loss.png", progress.history)
                    last_saved = time.monotonic()
            progress.end = world.agree(progress.end)
            done = done_share(progress, config)
            recent = []
            return_freed_memory()
            meter.restart()
    if progress.best:
        network.load_state_dict(progress.best)
    return network.eval()


def _drawn_from(folder: Path, config: TrainConfig, draw_batches: Callable[..., Iterator[Batch]]) -> Draw:
    """The batches of one folder of shards."""
    tools, examples = load_tools(folder), load_examples(folder, "train")
    examples = examples.without(config.without) if config.without else examples
    return lambda start, stride: draw_batches(
        examples, tools, config.rows, config.candidates, config.seed, start=start, stride=stride
    )


def initialise(network: Network, tokenizer: Tokenizer, init: str) -> None:
    """Set the weights that a run starts from, in place; `init` as in `train`. ValueError for those of other sizes."""
    if init == "minilm":
        warm_start(network, tokenizer)
    elif init != "random":
        try:
            if init.endswith(".pt"):
                network.load_state_dict(load_checkpoint(Path(init))["network"])
            elif Path(init).is_dir():
                from training.artifact import artifact_network  # onnx is not needed, nor there, on a bare trainer

                network.load_state_dict(artifact_network(Path(init)).state_dict())
            else:
                load_weights(network, Path(init))
        except RuntimeError as error:
            raise ValueError(f"{init} does not fit this network: its sizes or parts are others") from error


def done_share(progress: Progress, config: TrainConfig) -> float:
    """How much of the run is over, 0 to 1 or a little beyond, by the limit that is nearer. ValueError without one."""
    shares = [progress.seconds / (60 * config.time_limit)] if config.time_limit else []
    shares += [progress.step / config.steps] if config.steps else []
    if not shares:
        raise ValueError("a run needs a number of steps or a time limit")
    return max(shares) / progress.end


def watch(progress: Progress, measured: dict[str, float], network: Network, config: TrainConfig) -> None:
    """Remember the weights whenever the held-out loss, fill and route, is the lowest so far.

    When it has not been so for `config.patience` measurements, shorten the run such that its decay begins now: the loss
    still falls while the rate does, which stopping at once would forgo.
    """
    loss = measured["fill"] + measured["route"]
    if loss < progress.lowest:
        progress.lowest, progress.waited, progress.best = loss, 0, copy.deepcopy(network.state_dict())
        return
    progress.waited += 1
    done = done_share(progress, config)
    if progress.waited >= config.patience and progress.end == 1.0 and done < 1.0 - config.decay:
        progress.end = done / (1.0 - config.decay)


def backward(network: Network, reference: Encoder, batch: Batch, spelling: Spelling, config: TrainConfig) -> Tensor:
    """Add one micro-batch's part to the step's gradients; returns its `Losses` as one tensor."""
    with torch.autocast(spelling.twins.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        losses, query = compute_losses(network, batch, spelling, config.free_only)
        loss = losses.fill + losses.route + config.contrastive_weight * losses.contrast
        if config.anchor_weight:
            loss = loss + config.anchor_weight * anchor_loss(query, reference, batch)
    (loss / config.accumulate).backward()
    return torch.stack([x.detach().float() for x in losses])


def update(network: Network, optimizer: Optimizers, world: World, config: TrainConfig) -> None:
    """Sum the processes' gradients and take the step that all of them take."""
    gradients = []
    for parameter in network.parameters():
        # What no example of this process's batches used (fill heads, where no call is right) counts as zero, as it
        # would if another process's batch had used it.
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    world.add(gradients)
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.grad_clip)
    optimizer.step()


def validation_batches(heldout: ExampleTable, tools: ToolTable, config: TrainConfig) -> Iterator[Batch]:
    """At most eight fixed batches of held-out examples."""
    rows = min(config.rows, len(heldout))
    for k, indices in enumerate(epoch_batches(heldout, rows, seed=0)[:8]):
        yield build_batch(heldout, tools, indices, config.candidates, np.random.default_rng(k))


@torch.no_grad()
def evaluate(network: Network, batches: list[Batch], spelling: Spelling, config: TrainConfig) -> dict[str, float]:
    """Mean losses and accuracies over `batches`."""
    network.eval()
    rows = []
    for batch in batches:
        with torch.autocast(spelling.twins.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            losses, _ = compute_losses(network, batch, spelling)
        rows.append(torch.stack([x.float() for x in losses]))
    network.train()
    return dict(zip(Losses._fields, torch.stack(rows).mean(0).tolist(), strict=True))
