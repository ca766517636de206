"""Contrast of two colours as WCAG 2.2 defines it, from what a browser computes."""

from __future__ import annotations

import re

_LINEAR_UP_TO = 0.04045


def contrast(one: str, other: str) -> float:
    """Ratio of relative luminances, 1 to 21, of two opaque colours such as `rgb(1, 2, 3)`."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def blend(colour: str, ground: str, opacity: float) -> str:
    """What is seen of a colour over an opaque ground."""
    levels = zip(_levels(colour), _levels(ground), strict=True)
    mixed = (round(opacity * one + (1 - opacity) * other) for one, other in levels)
    return f"rgb({', '.join(map(str, mixed))})"


def _levels(colour: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", colour)[:3]]


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(level / 255) for level in _levels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(level: float) -> float:
    return level / 12.92 if level <= _LINEAR_UP_TO else ((level + 0.055) / 1.055) ** 2.4
