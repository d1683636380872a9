"""The compiled kernels of training on a CPU: their source, compiled when first needed, and how tensors get there.

`load_kernel` compiles with the machine's C compiler; without one it says so with None, and training takes operators.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCES = tuple(Path(__file__).with_name(name) for name in ("ragged.c", "rowwise.c", "tiled.c", "weights.c"))
HEADERS = tuple(Path(__file__).with_name(name) for name in ("kernel.h", "amx.h"))
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-lm")
COMPILERS = ("cc", "gcc", "clang")


class Matrix(ctypes.Structure):
    """A matrix in a tensor's memory, as `kernel.h` has it."""

    _fields_ = (("data", ctypes.c_void_p), ("stride", ctypes.c_int64), ("bf16", ctypes.c_int64))


def matrix_of(x: Tensor | None) -> Matrix:
    """x [rows, columns], each row without gaps; None is a matrix without data. ValueError for other types."""
    if x is None:
        return Matrix(None, 0, 0)
    if x.dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"a kernel for {x.dtype}: only float32 and bfloat16 are known")
    return Matrix(x.data_ptr(), x.stride(0), int(x.dtype == torch.bfloat16))


@cache
def load_kernel() -> ctypes.CDLL | None:
    """The compiled kernel; None, having said why, where it cannot be had. `BODKIN_KERNEL=0` does without it."""
    if os.environ.get("BODKIN_KERNEL") == "0":
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), *COMPILERS))), None)
    if compiler is None:
        print("no C compiler: layers are put together from tensor operators, and training is slower", file=sys.stderr)
        return None
    # The compiler makes use of what this very processor can do; another one may share the folder.
    key = hashlib.sha256(
        b"\0".join(
            [*(f.read_bytes() for f in (*HEADERS, *SOURCES)), " ".join((compiler, *FLAGS)).encode(), _processor()]
        )
    ).hexdigest()[:16]
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodkin" / f"kernel-{key}.so"
    try:
        if not cached.exists():
            _compile(compiler, cached)
        return ctypes.CDLL(str(cached))
    except (OSError, subprocess.CalledProcessError) as error:
        why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        print(f"the kernels could not be compiled, so training is slower: {why}", file=sys.stderr)
        return None


def matrix_units() -> bool:
    """Whether there is a kernel, and a processor with a matrix unit (AMX) that it may use."""
    kernel = load_kernel()
    return kernel is not None and _permitted(kernel)


@cache
def _permitted(kernel: ctypes.CDLL) -> bool:
    return bool(kernel.amx_ready())


def _compile(compiler: str, to: Path) -> None:
    """Compile to a file of its own, then rename: two processes may do so at the same time."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        made = Path(folder) / to.name
        command = [compiler, *map(str, SOURCES), "-o", str(made), *FLAGS]
        # Without OpenMP, which not every compiler has at hand, one thread does it.
        if subprocess.run([*command, "-fopenmp"], capture_output=True).returncode:
            subprocess.run(command, check=True, capture_output=True, text=True)
        made.replace(to)


def _processor() -> bytes:
    """What tells processors apart whose instructions may differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor().encode()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "").encode()
