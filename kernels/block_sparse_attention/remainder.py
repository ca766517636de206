"""What becomes of the key blocks that a query block does not attend to."""

from __future__ import annotations

from typing import Literal

Remainder = Literal["drop", "mean"]
"""Left out; or in the same softmax by the means of their keys and values, counted as often as
they have tokens: the zeroth order of PISA (arXiv 2602.01077, equation 6)."""

REMAINDERS: tuple[Remainder, ...] = ("drop", "mean")
