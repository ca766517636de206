"""What was computed of each token when it was last computed, and the time before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sol.skills.cache.memory import bytes_of
from sol.skills.token_pruning.reduction.token_rows import Rows, put_rows, take_rows


@dataclass
class _Seen:
    """Values (batch, tokens, ...) and the position (batch, tokens) at which each was computed."""

    values: Tensor
    position: Tensor

    def put(self, rows: Rows, values: Tensor, position: Tensor) -> None:
        put_rows(self.values, rows, values)
        put_rows(self.position, rows, position)

    def take(self, rows: Rows) -> _Seen:
        return _Seen(take_rows(self.values, rows), take_rows(self.position, rows))


@dataclass
class TokenMemory:
    """One tensor with a row for each token, along axis 1.

    Tokens are not computed at the same steps, so each has its own history. Its value at position p
    is what it was at q, when it was last computed; or, with `is_linear`, the straight line through
    that and its value at o, the time before:

        y(q) + (p - q) / (q - o) (y(q) - y(o)).

    (TaylorSeer's first order, arXiv 2503.06923, over positions and token by token.)
    """

    is_linear: bool
    _last: _Seen | None = None
    _before: _Seen | None = None

    @property
    def nbytes(self) -> int:
        seen = (s for s in (self._last, self._before) if s is not None)
        return sum(bytes_of((s.values, s.position)) for s in seen)

    def keep_all(self, values: Tensor, position: float) -> None:
        """All tokens were computed; `values`, (batch, tokens, ...), are kept as they are."""
        at = torch.full(values.shape[:2], position, device=values.device)
        if self.is_linear:
            self._before = self._last
        self._last = _Seen(values, at)

    def keep_some(self, values: Tensor, position: float, rows: Rows) -> None:
        """Some were: `values` are theirs."""
        last = self._get_last()
        if self.is_linear:
            if self._before is None:
                self._before = _Seen(last.values.clone(), last.position.clone())
            previous = last.take(rows)
            self._before.put(rows, previous.values, previous.position)
        last.put(rows, values, torch.full(values.shape[:2], position, device=values.device))

    def predict(self, position: float, rows: Rows) -> Tensor:
        """The tokens in `rows` at a position where they are not computed, (batch, n, ...)."""
        last = self._get_last().take(rows)
        return _on_line(self._before.take(rows), last, position) if self._before else last.values

    def complete(self, values: Tensor, position: float, rows: Rows) -> Tensor:
        """All tokens: `values` of those in `rows`, computed now, and the others predicted.

        What is returned is not to be written to. It has the precision of `values`.
        """
        last = self._get_last()
        if self._before is None:
            self.keep_some(values, position, rows)
            return last.values.to(values.dtype)
        predicted = _on_line(self._before, last, position).to(values.dtype)
        self.keep_some(values, position, rows)
        put_rows(predicted, rows, values)
        return predicted

    def _get_last(self) -> _Seen:
        assert self._last is not None, "all tokens are computed first"
        return self._last


def _on_line(before: _Seen, last: _Seen, position: float) -> Tensor:
    """Where both were computed at one position there is no line: the last is returned."""
    span = last.position - before.position
    weight = torch.where(span == 0, 1.0, (position - before.position) / span)
    shape, dtype = (*weight.shape, *(1 for _ in last.values.shape[2:])), last.values.dtype
    return torch.lerp(before.values.to(dtype), last.values, weight.view(shape).to(dtype))
