"""Published calibrations, for exactly the denoisers that they were made for.

From the TeaCache repository (arXiv 2411.19108), by depth, heads and width of a head: nothing else
tells a fine-tune from another model of the family. Its tables for Wan belong to the projected
timestep embedding, those for CogVideoX to the plain one, the others to the modulated input.
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
# Their thresholds were published with those of 1.5, in the same script.
_COGVIDEOX: Mapping[_Shape, PublishedTeaCache] = {
    (30, 30, 64): PublishedTeaCache(
        (-3.10658903e1, 2.54732368e1, -5.92380459, 1.75769064, -3.61568434e-3),
        "timestep",
        (0.1, 0.2, 0.3),
    ),
    (42, 48, 64): PublishedTeaCache(
        (-1.53880483e3, 8.43202495e2, -1.34363087e2, 7.97131516, -5.23162339e-2),
        "timestep",
        (0.1, 0.2, 0.3),
    ),
}
_COGVIDEOX_1_5: Mapping[_Shape, PublishedTeaCache] = {
    (42, 48, 64): PublishedTeaCache(
        (2.50210439e2, -1.65061612e2, 3.57804877e1, -7.81551492e-1, 3.58559703e-2),
        "timestep",
        (0.1, 0.2, 0.3),
    )
}
_TABLES: Mapping[str, Mapping[_Shape, PublishedTeaCache]] = MappingProxyType(
    {"ltx": _LTX, "wan": _WAN, "cogvideox": _COGVIDEOX, "cogvideox_1.5": _COGVIDEOX_1_5}
)


def find_teacache(family: str, config: Any) -> PublishedTeaCache | None:
    """The published calibration for a denoiser of this family and config, if there is one."""
    shape = (config.num_layers, config.num_attention_heads, config.attention_head_dim)
    return _TABLES.get(family, {}).get(shape)
