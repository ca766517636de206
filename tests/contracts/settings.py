"""How every technique is exercised by the contract suite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sol.schedule import Schedule
from sol.technique import StackItem


@dataclass(frozen=True)
class Settings:
    """How a technique is exercised.

    Attributes:
        bold: A config that must engage on an 8-step video.
        inert: A config or schedule with which it installs, but cannot engage, if there is one.
        tolerance: Largest latent difference that `numerical` allows.
    """

    bold: dict[str, Any] = field(default_factory=dict)
    inert: StackItem | None = None
    tolerance: float = 1e-4


SETTINGS = {
    "easycache": Settings(
        bold={"threshold": 5.0, "warmup": 2, "max_skips": 2},
        inert=StackItem("easycache", {"threshold": 5.0}, Schedule(steps="none")),
    ),
    "step_mask": Settings(
        bold={"skip": "3,5-6"}, inert=StackItem("step_mask", {"skip": "3"}, Schedule(steps="5"))
    ),
    "planned": Settings(
        bold={"skip": "3,5-6", "reuse": "ridge", "ridge": [0.2], "steps": 8},
        inert=StackItem("planned", {"skip": "3"}, Schedule(steps="5")),
    ),
    "teacache": Settings(
        bold={"threshold": 9.0, "warmup": 2, "max_skips": 2},
        inert=StackItem("teacache", {"threshold": 1e-9, "warmup": 2}),
    ),
    "magcache": Settings(
        bold={
            "threshold": 9.0,
            "warmup": 2,
            "ratios": {name: [1.0, 0.99, 0.98, 1.0] for name in ("both", "cond", "uncond")},
            "per_branch": True,
        },
        inert=StackItem("magcache", {"threshold": 9.0}),
    ),
    "first_block": Settings(
        bold={"threshold": 9.0, "warmup": 2, "max_skips": 2, "back": 1, "reuse": "taylor2"},
        inert=StackItem("first_block", {"threshold": 1e-9, "warmup": 2}),
    ),
    "pab": Settings(
        bold={"self_every": 2, "cross_every": 3, "warmup": 2, "tail": 1},
        inert=StackItem("pab", {"warmup": 2}, Schedule(steps="none")),
    ),
    "cfg_reuse": Settings(
        bold={"every": 3, "mode": "spectral", "warmup": 2, "tail": 1},
        inert=StackItem("cfg_reuse", {"warmup": 2}, Schedule(steps="none")),
    ),
    "text_kv": Settings(),
    "prompt_projection": Settings(),
    "rotary_tables": Settings(),
    "modulation": Settings(),
    "diffusers_first_block": Settings(
        bold={"threshold": 0.5, "warmup": 2},
        inert=StackItem("diffusers_first_block", {"threshold": 1e-9}),
    ),
    "diffusers_mag": Settings(
        bold={
            "mag_ratios": [1.0, 1.02, 1.01, 1.01],
            "threshold": 0.2,
            "max_skip_steps": 2,
            "retention_ratio": 0.25,
        },
        inert=StackItem(
            "diffusers_mag", {"mag_ratios": [1.0, 1.02, 1.01, 1.01], "threshold": 1e-9}
        ),
    ),
    "diffusers_taylorseer": Settings(
        bold={"cache_interval": 3, "disable_cache_before_step": 2},
        inert=StackItem("diffusers_taylorseer", {"disable_cache_before_step": 8}),
    ),
    "cache_dit": Settings(
        bold={
            "Fn_compute_blocks": 1,
            "max_warmup_steps": 2,
            "residual_diff_threshold": 0.9,
            "max_continuous_cached_steps": 2,
        },
        inert=StackItem(
            "cache_dit",
            {"Fn_compute_blocks": 1, "max_warmup_steps": 2, "residual_diff_threshold": 1e-9},
        ),
    ),
    "topk_blocks": Settings(
        bold={
            "density": 0.3,
            "block": 16,
            "dense_first": 2,
            "refresh": 2,
            "correct_every": 3,
            "correct_order": 1,
        },
        inert=StackItem("topk_blocks", {"density": 0.3, "block": 16}, Schedule(steps="none")),
    ),
    "window3d": Settings(
        bold={"density": 0.5, "block": 16, "order": "hilbert", "dense_layers": 1},
        inert=StackItem("window3d", {"density": 0.3, "block": 512}),
    ),
    "radial": Settings(
        bold={"density": 0.3, "block": 18, "order": "morton", "sink": True},
        inert=StackItem("radial", {"density": 0.3, "block": 16, "dense_first": 8}),
    ),
    "spatial_temporal": Settings(
        bold={"density": 0.4, "block": 16, "remainder": "drop", "refresh": 3, "rows": 8},
        inert=StackItem("spatial_temporal", {"density": 0.3, "block": 16, "dense_last": 8}),
    ),
    "stale_tokens": Settings(
        bold={"tau": 9.0, "patience": 1, "warmup": 2, "refresh": 3},
        inert=StackItem("stale_tokens", {"tau": 9.0, "warmup": 8}),
    ),
    "token_prune": Settings(
        bold={"keep": 0.5, "warmup": 2, "refresh": 3},
        inert=StackItem("token_prune", {"keep": 0.5}, Schedule(steps="none")),
    ),
    "ras": Settings(
        bold={"sample_ratio": 0.4, "warmup": 2, "tail": 0, "refresh": 6},
        inert=StackItem("ras", {"warmup": 4, "tail": 4}),
    ),
    "tome": Settings(
        bold={"ratio": 0.3, "warmup": 1},
        inert=StackItem("tome", {"warmup": 4, "tail": 4}),
    ),
    # Only where a part of the video is given: see tests/skills/test_hilo.py.
    "hilo": Settings(
        bold={"percentile": 90.0, "stride": 4},
        inert=StackItem("hilo", {"percentile": 90.0}, Schedule(steps="none")),
    ),
    "dvg": Settings(
        bold={"until_step": 3, "time": 0.67, "then": [{"until_step": 5, "space": 0.75}]},
        inert=StackItem("dvg", {"until_step": 0}),
    ),
    "int8_dynamic": Settings(
        bold={"layers": "all", "full_first": 1, "full_last": 1},
        inert=StackItem("int8_dynamic", {"full_first": 9}),
    ),
    "int8_rows": Settings(
        bold={"layers": "feed_forward=all; cross=1-2", "full_last": 2, "smooth": 0.5, "rank": 4},
        inert=StackItem("int8_rows", {}, Schedule(steps="none")),
    ),
    "int8_torchao": Settings(
        bold={"layers": "feed_forward=all; qkv=1", "full_first": 1, "rank": 4},
        inert=StackItem("int8_torchao", {"full_last": 8, "full_first": 8}),
    ),
    "fp8": Settings(),
    "weight_only": Settings(
        bold={"layers": "feed_forward=all; out=all", "format": "int8"},
        inert=StackItem("weight_only", {"full_first": 8}),
    ),
    "nvfp4": Settings(),
    "bf16_linear": Settings(
        bold={"layers": "feed_forward=all; qkv=all; out=all; cross=all", "full_last": 1},
        inert=StackItem("bf16_linear", {}, Schedule(steps="none")),
    ),
    "autocast": Settings(
        bold={"full_first": 1}, inert=StackItem("autocast", {"full_first": 4, "full_last": 4})
    ),
    "regional_compile": Settings(),
    "full_compile": Settings(),
    "cuda_graphs": Settings(),
    "packed_linear": Settings(),
    # Only where there is another back-end than PyTorch's own: none on a CPU.
    "attention_backend": Settings(bold={"backend": "_native_efficient"}),
    "shared_prefix": Settings(),
    "fused_qkv": Settings(bold={"attentions": "all"}),
}
