"""What a sparse attention lacked where the dense one was computed beside it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Correction:
    """Dense minus sparse output at one step, and at the one before that was computed so.

    Attributes:
        lacking: (batch, tokens, heads, head_dim).
        step: Of the video.
        position: Where that step stands on the trajectory (`Clock.position`).
        slope: Change of `lacking` over the trajectory; None while there is one step only.
    """

    lacking: Tensor
    step: int
    position: float
    slope: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.lacking.nbytes + (0 if self.slope is None else self.slope.nbytes)

    def at(self, position: float) -> Tensor:
        """What will be lacking at another position."""
        if self.slope is None:
            return self.lacking
        return self.lacking + self.slope * (position - self.position)


def extend(
    last: Correction | None, lacking: Tensor, step: int, position: float, order: int
) -> Correction:
    """The correction with one more step seen; of order 0 it has no slope."""
    if last is None or order == 0 or position == last.position:
        return Correction(lacking, step, position)
    slope = (lacking - last.lacking) / (position - last.position)
    return Correction(lacking, step, position, slope)
