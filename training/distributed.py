"""The processes of a run. One code path: a run that `torchrun` did not start is a world of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process among `size`, and the device it computes on. Process 0 leads: it alone logs, evaluates and saves."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> int:
        """How many of a step's `count` micro-batches are this process's; ValueError if they cannot be shared evenly."""
        if count % self.size:
            raise ValueError(
                f"{count} micro-batches a step cannot be shared evenly among {self.size} processes: "
                f"make --accumulate a multiple of {self.size}"
            )
        return count // self.size

    def add(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over all processes. One message, not one per tensor."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))

    def agree(self, value: float) -> float:
        """The leader's `value`, in every process."""
        if self.size == 1:
            return value
        said = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(said, src=0)
        return float(said)


@contextmanager
def join_world() -> Iterator[World]:
    """The world that `torchrun` describes in the environment: one GPU a process (nccl), or CPU processes (gloo)."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew, in tenths of a second, for every new shape
    if size == 1:
        yield World(rank, size, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, size, device)
        dist.barrier()  # the leader may still be saving: nobody leaves before it has
    finally:
        dist.destroy_process_group()
