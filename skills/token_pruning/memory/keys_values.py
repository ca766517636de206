"""Keys and values of all tokens, those of tokens that are left out as their memory has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sol.attention_routing import Attention, Compute
from sol.skills.token_pruning.memory.token_memory import TokenMemory
from sol.skills.token_pruning.reduction.token_rows import Rows


@dataclass
class KeysValues:
    """The keys and values of some attentions, for one guidance branch.

    Attributes:
        is_linear: See `TokenMemory`.
    """

    is_linear: bool
    _held: dict[int, tuple[TokenMemory, TokenMemory]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for pair in self._held.values() for memory in pair)

    def keep_all(self, site: int, key: Tensor, value: Tensor, position: float) -> None:
        """An attention had those of all tokens."""
        if site not in self._held:
            self._held[site] = TokenMemory(self.is_linear), TokenMemory(self.is_linear)
        for memory, tensor in zip(self._held[site], (key, value), strict=True):
            # A copy: what computed it may use its place again.
            memory.keep_all(tensor.clone(), position)

    def complete(
        self, site: int, key: Tensor, value: Tensor, position: float, rows: Rows
    ) -> tuple[Tensor, Tensor]:
        """Those of all tokens, where an attention has those in `rows`."""
        keys, values = self._held[site]
        return keys.complete(key, position, rows), values.complete(value, position, rows)


@dataclass(frozen=True)
class _Call:
    memory: KeysValues
    position: float
    rows: Rows | None


@dataclass
class RememberingAttention:
    """The self-attentions of one denoiser's active blocks: they attend to all tokens always."""

    _call: _Call | None = None

    def begin(self, memory: KeysValues, position: float, rows: Rows | None) -> None:
        """A call begins that computes the tokens in `rows`; None for all of them.

        In calls of which it is told nothing, attention is computed as it would be.
        """
        self._call = _Call(memory, position, rows)

    def leave(self) -> None:
        """The call is over."""
        self._call = None

    def at(self, site: int) -> Compute:
        """The computation of one of them."""

        def attend(query: Tensor, key: Tensor, value: Tensor, before: Attention) -> Tensor:
            call = self._call
            if call is None:
                return before(query, key, value)
            if call.rows is None:
                call.memory.keep_all(site, key, value, call.position)
                return before(query, key, value)
            return before(query, *call.memory.complete(site, key, value, call.position, call.rows))

        return attend
