"""One self-attention that attends to some blocks of keys."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sol.attention_routing import Attention
from sol.clock import Clock, is_between_edges
from sol.kernels.block_sparse_attention import block_sparse_attention
from sol.roles import TokenGrid
from sol.schedule import Schedule
from sol.skills.sparse_attention.block_choice import BlockChoice, Pattern, choose_blocks
from sol.skills.sparse_attention.correction import extend
from sol.skills.sparse_attention.sequence.blocks import BlockSequence, make_sequence
from sol.skills.sparse_attention.settings import SparseSettings


@dataclass
class Counts:
    """Of all sites of an installation."""

    sparse: int = 0
    dense: int = 0
    blocks: int = 0
    blocks_left_out: int = 0
    choices: int = 0


@dataclass(frozen=True)
class Sparsity:
    """What the sites of a denoiser have in common.

    Attributes:
        sequences: By grid and device, filled in as they are met.
        read_grid: The grid of the denoiser's present call; None outside of one.
    """

    settings: SparseSettings
    pattern: Pattern
    schedule: Schedule
    clock: Clock
    counts: Counts
    read_grid: Callable[[], TokenGrid | None]
    sequences: dict[Hashable, BlockSequence] = field(default_factory=dict)

    def find_sequence(self, query: Tensor) -> BlockSequence | None:
        """How the tokens of this call are cut; None where attention is to be dense.

        That is in the steps that the settings say, and where the tokens are not those of the
        grid, because some were left out.
        """
        settings, grid = self.settings, self.read_grid()
        first, last = settings.dense_first, settings.dense_last
        if grid is None or grid.n_tokens != query.shape[1]:
            return None
        if not is_between_edges(self.clock, self.schedule, first, last):
            return None
        return self._sequence(grid, query.device)

    def _sequence(self, grid: TokenGrid, device: torch.device) -> BlockSequence:
        key, settings = (grid, device), self.settings
        if key not in self.sequences:
            self.sequences[key] = make_sequence(grid, settings.order, settings.block, device)
        return self.sequences[key]


@dataclass
class SparseSite:
    """Computes one site's attention; see `sol.attention_routing.Compute`.

    Blocks are chosen anew only in steps that are computed: where a cache leaves the step out that
    would have been next, the following one chooses.

    Attributes:
        layer: Number of the block of the denoiser.
        choices: By guidance branch and form of the queries, in this video.
    """

    layer: int
    sparsity: Sparsity
    choices: dict[Hashable, BlockChoice] = field(default_factory=dict)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, before: Attention) -> Tensor:
        def dense() -> Tensor:
            self.sparsity.counts.dense += 1
            return before(query, key, value)

        sequence = self.sparsity.find_sequence(query)
        if sequence is None:
            return dense()
        arranged = (sequence.arrange(query), sequence.arrange(key), sequence.arrange(value))
        choice = self._choice(sequence, arranged)
        if not choice.n_left_out:
            return dense()

        def sparse() -> Tensor:
            return self._sparse(sequence, choice, arranged)

        if self.sparsity.settings.correct_every:
            return self._corrected(choice, dense, sparse)
        return sparse()

    @property
    def bytes_held(self) -> int:
        """What the corrections of this video take."""
        corrections = (choice.correction for choice in self.choices.values())
        return sum(correction.nbytes for correction in corrections if correction is not None)

    def forget(self) -> None:
        self.choices.clear()

    def _sparse(
        self, sequence: BlockSequence, choice: BlockChoice, arranged: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        counts = self.sparsity.counts
        counts.sparse += 1
        counts.blocks += choice.n_blocks
        counts.blocks_left_out += choice.n_left_out
        settings = self.sparsity.settings
        output = block_sparse_attention(
            *arranged, choice.layout, remainder=settings.remainder, path=settings.path
        )
        return sequence.restore(output)

    def _corrected(
        self, choice: BlockChoice, dense: Callable[[], Tensor], sparse: Callable[[], Tensor]
    ) -> Tensor:
        clock, settings = self.sparsity.clock, self.sparsity.settings
        correction = choice.correction
        if correction is not None and not self._is_correction_due(choice):
            return sparse() + correction.at(clock.position)
        output = dense()
        has_later_step = clock.step + 1 < clock.n_steps - settings.dense_last
        if has_later_step:
            lacking = output - sparse()
            choice.correction = extend(
                correction, lacking, clock.step, clock.position, settings.correct_order
            )
        return output

    def _choice(
        self, sequence: BlockSequence, arranged: tuple[Tensor, Tensor, Tensor]
    ) -> BlockChoice:
        common = self.sparsity
        kind = (common.clock.branch, arranged[0].shape, arranged[0].dtype)
        choice = self.choices.get(kind)
        if choice is None or self._is_choice_due(choice):
            common.counts.choices += 1
            choice = self.choices[kind] = choose_blocks(
                common.pattern, common.settings, common.clock, self.layer, sequence, arranged
            )
        return choice

    def _is_choice_due(self, choice: BlockChoice) -> bool:
        """A correction fits one choice of blocks: a new one waits until it is due as well."""
        refresh = self.sparsity.pattern.refresh
        if refresh is None or self.sparsity.clock.step - choice.step < refresh:
            return False
        return not self.sparsity.settings.correct_every or self._is_correction_due(choice)

    def _is_correction_due(self, choice: BlockChoice) -> bool:
        last, every = choice.correction, self.sparsity.settings.correct_every
        return last is None or self.sparsity.clock.step - last.step >= every
