"""Whether a pipeline is still what it was: its modules, its hooks, its weights' versions."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

_CAPTURING = "transformers.utils.output_capturing"


def fingerprint_pipeline(pipeline: Any) -> str:
    """Equal as long as nothing was replaced, hooked, compiled or written to in place."""
    digest = hashlib.sha256(repr((torch.get_num_threads(), torch.get_default_dtype())).encode())
    for name, part in sorted(pipeline.components.items()):
        if isinstance(part, nn.Module):
            for path, module in part.named_modules():
                digest.update(repr((name, path, *_state_of(module))).encode())
    return digest.hexdigest()


def _state_of(module: nn.Module) -> tuple[Any, ...]:
    return (
        type(module).__name__,
        "forward" in vars(module),
        module._compiled_call_impl is not None,
        _n_hooks(module),
        [_identity(t) for t in module.parameters(recurse=False)],
        [_identity(t) for t in module.buffers(recurse=False)],
        *_attention_of(module),
    )


def _n_hooks(module: nn.Module) -> int:
    """Without those by which transformers captures hidden states: it puts them into a text
    encoder at the first call that wants any, and leaves them."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return sum(getattr(hook, "__module__", "") != _CAPTURING for hook in hooks)


def _attention_of(module: nn.Module) -> tuple[Any, ...]:
    """What diffusers' dispatch is told for this module: its back-end, and whether it is split."""
    processor = getattr(module, "processor", None)
    backend = getattr(processor, "_attention_backend", None)
    return str(backend), getattr(processor, "_parallel_config", None) is None


def _identity(tensor: torch.Tensor) -> tuple[Any, ...]:
    version = -1 if tensor.is_inference() else tensor._version
    return (tensor.data_ptr(), tuple(tensor.shape), str(tensor.dtype), version)
