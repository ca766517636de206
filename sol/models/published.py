"""Published calibrations, for exactly the denoisers that they were made for.

From the TeaCache repository (arXiv 2411.19108), by depth, heads and width of a head: nothing else
tells a fine-tune from another model of the family. Its Wan tables belong to the projected timestep
embedding, the others to the modulated input.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sol.roles import PublishedTeaCache

_Shape = tuple[int, int, int]

_LTX: Mapping[_Shape, PublishedTeaCache] = {
    (28, 32, 64): PublishedTeaCache(
        (2.14700694e1, -1.28016453e1, 2.31279151, 7.92487521e-1, 9.69274326e-3),
        "modulated_input",
        (0.03, 0.05),
    )
}
_WAN: Mapping[_Shape, PublishedTeaCache] = {
    (30, 12, 128): PublishedTeaCache(
        (-5.21862437e4, 9.23041404e3, -5.28275948e2, 1.36987616e1, -4.99875664e-2),
        "timestep",
        (0.05, 0.08),
    ),
    (40, 40, 128): PublishedTeaCache(
        (-3.03318725e5, 4.90537029e4, -2.65530556e3, 5.87365115e1, -3.15583525e-1),
        "timestep",
        (0.14, 0.2),
    ),
}
_TABLES: Mapping[str, Mapping[_Shape, PublishedTeaCache]] = MappingProxyType(
    {"ltx": _LTX, "wan": _WAN}
)


def find_teacache(family: str, config: Any) -> PublishedTeaCache | None:
    """The published calibration for a denoiser of this family and config, if there is one."""
    shape = (config.num_layers, config.num_attention_heads, config.attention_head_dim)
    return _TABLES.get(family, {}).get(shape)
