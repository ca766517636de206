"""Which of diffusers' attention back-ends can compute an attention here, and why others cannot.

A call on a few numbers decides: a package that imports may have no operator for a device (xformers
on a machine without CUDA), and one that runs may not know masks. The result is compared with that
of PyTorch's own attention.

Left out: math, which computes the whole matrix of scores (measured on a CPU: two to four times as
long) and which Inductor puts back to PyTorch's own; sage, which computes in 8 bits; flex, which
is made for masks of its own; and whatever would be downloaded to be run.
"""

from __future__ import annotations

import warnings

import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName

BACKENDS = (
    "_native_cudnn",
    "_native_flash",
    "_native_efficient",
    "flash",
    "_flash_3",
    "xformers",
)
"""By their names in diffusers. The baseline is `native`: PyTorch's choice among its kernels."""

# Of independent normal numbers, whose weighted means a mask that is not obeyed changes by 0.1 and
# more. Half precision keeps three digits; float32 may be computed in TF32.
_TOLERANCE = 3e-2

_BATCH, _TOKENS, _N_HEADS = 2, 16, 2
_TYPICAL_HEAD_DIM = 64
_MASKED = -10000.0


def why_no_attention_backend(device: str, dtype: torch.dtype) -> str | None:
    """Why nothing but PyTorch's own attention works here, or None if something does.

    For CUDA PyTorch has kernels to choose from; which of them fit is seen for each attention.
    Elsewhere it has one, which `native` takes.
    """
    if device == "cuda":
        return None
    packages = (name for name in BACKENDS if not name.startswith("_native"))
    obstacles = []
    for name in packages:
        obstacle = find_backend_obstacle(name, device, dtype, _TYPICAL_HEAD_DIM, is_masked=False)
        if obstacle is None:
            return None
        obstacles.append(obstacle)
    return f"no attention but PyTorch's own works on {device}: {'; '.join(obstacles)}"


def find_backend_obstacle(
    name: str, device: str, dtype: torch.dtype, head_dim: int, *, is_masked: bool
) -> str | None:
    """Why a back-end cannot compute such an attention, or None if it can."""
    backend = AttentionBackendName(name)
    try:
        attention_dispatch._check_attention_backend_requirements(backend)
    except RuntimeError:
        return f"{name} is not installed, or too old"
    query, key, value = torch.randn(
        3, _BATCH, _TOKENS, _N_HEADS, head_dim, generator=torch.Generator().manual_seed(0)
    ).to(device, dtype)
    mask = _mask(device, dtype) if is_masked else None
    expected = attention_dispatch.dispatch_attention_fn(
        query, key, value, mask, backend=AttentionBackendName.NATIVE
    )
    try:
        with warnings.catch_warnings():
            # PyTorch warns of every kernel that does not fit, before it raises.
            warnings.simplefilter("ignore")
            actual = attention_dispatch.dispatch_attention_fn(
                query, key, value, mask, backend=backend
            )
    except NotImplementedError:
        return f"{name} is installed, but has no operator for {_what(device, dtype, is_masked)}"
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        return f"{name} refuses {_what(device, dtype, is_masked)}: {_first_line(error)}"
    difference = float((actual - expected).abs().max())
    if difference > _TOLERANCE:
        return f"{name} is off by {difference:.2g} on {_what(device, dtype, is_masked)}"
    return None


def _mask(device: str, dtype: torch.dtype) -> torch.Tensor:
    """Hides the second half of the keys: (batch, heads, 1, keys), added to the scores."""
    mask = torch.zeros(_BATCH, _N_HEADS, 1, _TOKENS, device=device, dtype=dtype)
    mask[..., _TOKENS // 2 :] = _MASKED
    return mask


def _what(device: str, dtype: torch.dtype, is_masked: bool) -> str:
    masked = " with a mask" if is_masked else ""
    return f"{str(dtype).removeprefix('torch.')} on {device}{masked}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
