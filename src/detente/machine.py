"""The device a run uses, and what the record says of it."""

import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch

from detente.errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of malloc.h."""

PACKAGES = ("detente", "torch", "numpy", "tokenizers", "safetensors")


def choose_device(wanted: str) -> torch.device:
    """`auto` is a GPU when there is one; several processes on a machine take one each."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("`training.device` is cuda, but torch finds no GPU. Use `auto` or `cpu`.")
    if wanted != "cuda":
        return torch.device(wanted)
    number, wanted_number = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
    if wanted_number >= number:
        raise ConfigError(f"each process takes a GPU of its own, and this machine has {number}. Start no more of them.")
    return torch.device("cuda", wanted_number)


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next step, where it can be told.

    glibc takes every tensor over 32 MB from the system and gives it back when it is freed; at the next step the system clears the
    same pages again: 5 to 10 % of a step on a CPU (docs/performance.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def reset_peak_memory(device: torch.device) -> None:
    """Forget what earlier runs of this process took, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """Bytes since `reset_peak_memory`: allocated on the GPU, or resident in this process (imports included)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> int:
    """Bytes of this process in memory now; the peak so far where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_memory(torch.device("cpu"))


CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of a container, version 2 and 1; `max` is none."""


def memory_size(device: torch.device) -> int:
    """Bytes that there are for this process: of the GPU, or of the machine or the container that it runs in."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [int(text) for path in map(Path, CGROUP_LIMITS) if (text := _read(path)).isdigit()]
    return min([whole, *limits])


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    return ""


def machine(device: torch.device) -> dict[str, str]:
    """What the run was computed on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"system": platform.system(), "device": name, "threads": str(torch.get_num_threads())}


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Of Python, which brings the tables of Unicode, and the packages that decide a result."""
    return {"python": platform.python_version(), **{package: version(package) for package in (*PACKAGES, *more)}}


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
