"""Which key blocks each query block attends to."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from sol.kernels.operator.arguments import KernelArgumentError

_OP = "block_sparse_attention"
_MASK_RANK = 4
_Form = TypeVar("_Form")


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """The kept pairs of blocks; made by `make_layout`, which checks them.

    Attributes:
        mask: Boolean (1 or batch, heads, n_blocks, n_blocks): [query block, key block].
        n_tokens: Of the sequence, which queries and keys share.
        block: Tokens a block; the last block is shorter where it does not divide them.
    """

    mask: Tensor
    n_tokens: int
    block: int
    _forms: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_blocks(self) -> int:
        """Blocks of the sequence."""
        return -(-self.n_tokens // self.block)

    @cached_property
    def n_kept(self) -> int:
        """Pairs of blocks that are kept, over all heads of the mask."""
        return int(self.mask.sum())

    @property
    def n_all(self) -> int:
        """Pairs of blocks, over all heads of the mask."""
        return self.mask.numel()

    @cached_property
    def lengths(self) -> Tensor:
        """(n_blocks,), tokens of each block."""
        starts = torch.arange(0, self.n_tokens, self.block, device=self.mask.device)
        return (self.n_tokens - starts).clamp(max=self.block)

    @cached_property
    def density(self) -> float:
        """Kept pairs of tokens over all of them; a short last block counts for what it has."""
        lengths = self.lengths.double()
        kept = torch.einsum("bhij,i,j->bh", self.mask.double(), lengths, lengths)
        return float(kept.mean()) / self.n_tokens**2

    def get_form(self, make: Callable[..., _Form], *arguments: Hashable) -> _Form:
        """`make(self, *arguments)`, made once: a layout serves many steps."""
        key = (make, *arguments)
        if key not in self._forms:
            self._forms[key] = make(self, *arguments)
        form: _Form = self._forms[key]
        return form


def make_layout(mask: Tensor, n_tokens: int, block: int) -> BlockLayout:
    """A layout from a mask over pairs of blocks.

    Args:
        mask: Boolean (1 or batch, heads, n_blocks, n_blocks): [query block, key block].
        n_tokens: Of the sequence.
        block: Tokens a block, the same for queries and keys.

    Raises:
        KernelArgumentError: The mask does not fit, or a query block keeps no key block.
    """
    if n_tokens < 1 or block < 1:
        raise KernelArgumentError(
            f"{_OP}: n_tokens and block must be at least 1, got {n_tokens} and {block}."
        )
    n_blocks = -(-n_tokens // block)
    if mask.dim() != _MASK_RANK or mask.shape[2:] != (n_blocks, n_blocks):
        raise KernelArgumentError(
            f"{_OP}: mask must be (1 or batch, heads, {n_blocks}, {n_blocks}) for {n_tokens} "
            f"tokens in blocks of {block}, got {tuple(mask.shape)}: give a value for each pair."
        )
    if mask.dtype != torch.bool:
        raise KernelArgumentError(f"{_OP}: mask must be torch.bool, got {mask.dtype}: cast it.")
    n_empty = int((~mask.any(dim=-1)).sum())
    if n_empty > 0:
        raise KernelArgumentError(
            f"{_OP}: every query block must keep a key block, got {n_empty} that keep none: "
            "keep at least the block itself."
        )
    return BlockLayout(mask, n_tokens, block)


def sort_kept_first(layout: BlockLayout) -> tuple[Tensor, Tensor]:
    """For each query block its key blocks, the kept ones first, and how many these are.

    Returns:
        Blocks (1 or batch, heads, n_blocks, n_blocks), both parts ascending, and counts without
        the last axis; int32.
    """
    blocks = layout.mask.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)
    return blocks.to(torch.int32), layout.mask.sum(dim=-1, dtype=torch.int32)
