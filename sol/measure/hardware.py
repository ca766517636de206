"""What this machine is: the `Hardware` of a target, and the versions of what ran on it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

from sol.errors import SolError, UnknownNameError
from sol.target import Hardware

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_FEATURES = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
_PACKAGES = (
    "sol-tuner",
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "numpy",
    "pillow",
    "optuna",
    "ray",
    "triton",
    "xformers",
    "torchao",
)
_GIB = 1024**3


def probe(device: str | None = None) -> Hardware:
    """Describes this machine; with no device named, CUDA where there is one, else the CPU.

    Raises:
        UnknownNameError: A device that is neither "cpu" nor "cuda".
        SolError: "cuda" on a machine where torch finds none.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return _probe_cpu()
    if device == "cuda":
        return _probe_cuda()
    raise UnknownNameError("device", device, ("cpu", "cuda"))


def device_key(device: str) -> str:
    """Names one physical device among all machines: what a timing lease is held on.

    Args:
        device: "cpu" or "cuda", the current one of this process.
    """
    if device == "cpu":
        return f"{platform.node()}:cpu"
    # Every Ray worker calls its own GPU cuda:0; the UUID tells them apart.
    return f"{platform.node()}:{torch.cuda.get_device_properties(0).uuid}"


def versions() -> dict[str, str]:
    """Python's and every installed package's version that bears on a measurement."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _probe_cpu() -> Hardware:
    info = _read_cpu_info()
    flags = set(info.get("flags", info.get("Features", "")).split())
    return Hardware(
        device="cpu",
        name=info.get("model name") or platform.processor() or platform.machine(),
        count=os.cpu_count() or 1,
        memory_gb=_to_gib(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        features=tuple(sorted(flags & _CPU_FEATURES)),
    )


def _probe_cuda() -> Hardware:
    if not torch.cuda.is_available():
        raise SolError(
            "Device 'cuda' was asked for, but torch finds none: install a CUDA build of torch and "
            "a driver, or use device 'cpu'."
        )
    properties = torch.cuda.get_device_properties(0)
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Hardware(
        device="cuda",
        name=properties.name,
        count=names.count(properties.name),
        memory_gb=_to_gib(properties.total_memory),
        features=(f"sm_{properties.major}{properties.minor}",),
    )


def _read_cpu_info() -> dict[str, str]:
    """The first processor's fields of /proc/cpuinfo; none on other systems."""
    try:
        first = _CPU_INFO.read_text().split("\n\n")[0]
    except OSError:
        return {}
    fields = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in fields}


def _to_gib(n_bytes: int) -> float:
    """One decimal: what the firmware reserves varies by a few MiB between boots."""
    return round(n_bytes / _GIB, 1)
