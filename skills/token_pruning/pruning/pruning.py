"""Leaving tokens out of most steps: what the techniques share that do.

In the steps that compute all tokens, what the blocks add to each token is kept, and the keys and
values of each self-attention if kept tokens are to see those of the others. In a reduced step the
blocks compute the chosen tokens; the others are predicted from what was kept of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from sol.attention_routing import route_attention
from sol.clock import Clock
from sol.roles import AttentionSite, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.memory import MEGABYTE
from sol.skills.token_pruning.memory.keys_values import KeysValues, RememberingAttention
from sol.skills.token_pruning.memory.token_memory import TokenMemory
from sol.skills.token_pruning.pruning.gathered import Gathered, with_text
from sol.skills.token_pruning.pruning.settings import PruningSettings
from sol.skills.token_pruning.reduction.install import install_reduction
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows, for_batch
from sol.skills.token_pruning.selection.selection import Selection
from sol.technique import Installed

_Key = tuple[str, tuple[int, ...]]
"""Guidance branch and shape of the latents."""


@dataclass(frozen=True)
class _Track:
    """What is kept of the tokens of one guidance branch.

    Attributes:
        n_bytes: What it will take once there are two steps to extrapolate from.
    """

    residuals: TokenMemory
    keys_values: KeysValues
    n_bytes: int

    @property
    def nbytes(self) -> int:
        return self.residuals.nbytes + self.keys_values.nbytes


@dataclass(frozen=True)
class _Choice:
    """What the first call of a step chose for all calls of it; no rows choose all tokens."""

    step: int
    branch: str
    rows: Rows | None


@dataclass
class Pruning:
    """The reducer of one denoiser.

    Attributes:
        n_sites: Self-attentions that go through `attention`.
    """

    settings: PruningSettings
    schedule: Schedule
    clock: Clock
    selection: Selection
    attention: RememberingAttention
    n_sites: int
    n_refused: int = 0
    _tracks: dict[_Key, _Track] = field(default_factory=dict)
    _choice: _Choice | None = None

    @property
    def bytes_held(self) -> int:
        return sum(t.nbytes for t in self._tracks.values()) + self.selection.bytes_held

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Gathered | None:
        track = self._tracks.get(_key(call))
        chosen = self._choose_once(call, hidden, has_past=track is not None)
        if chosen is None or track is None:
            self._begin_full(call, hidden)
            return None
        rows = for_batch(with_text(chosen, call.grid), len(hidden))
        position = self.clock.position
        if self.n_sites:
            self.attention.begin(track.keys_values, position, rows)
        has_residuals = self.settings.compensation != "zero"
        return Gathered(rows, track.residuals if has_residuals else None, position)

    def wants(self, call: DenoiserCall) -> bool:
        return _key(call) in self._tracks and self.settings.compensation != "zero"

    def record(self, call: DenoiserCall, hidden: Tensor, output: Tensor) -> None:
        residual = (output - hidden).detach()
        self._tracks[_key(call)].residuals.keep_all(residual, self.clock.position)

    def finish(self, call: DenoiserCall, result: Tensor) -> None:
        choice = self._choice
        if choice is not None and choice.branch == call.branch:
            self.selection.observe(call, result, choice.rows)

    def end_step(self) -> None:
        """A step is over: what no later one can use is let go of."""
        if max(self._reduced_steps(), default=-1) < self.clock.step:
            self._tracks.clear()

    def leave(self) -> None:
        self.attention.leave()

    def forget(self) -> None:
        self._tracks.clear()
        self._choice = None
        self.selection.forget()

    def _choose_once(self, call: DenoiserCall, hidden: Tensor, has_past: bool) -> Rows | None:
        step = self.clock.step
        if self._choice is None or self._choice.step != step:
            rows = None
            if has_past and step in self._reduced_steps():
                rows = self.selection.choose(call, call.of_grid(hidden))
            self._choice = _Choice(step, call.branch, rows)
        return self._choice.rows

    def _begin_full(self, call: DenoiserCall, hidden: Tensor) -> None:
        """Makes sure that what is computed now is kept, if a later step may be reduced."""
        if max(self._reduced_steps(), default=-1) <= self.clock.step:
            return
        if _key(call) not in self._tracks and not self._open_track(call, hidden):
            self.n_refused += 1
        elif self.n_sites:
            memory = self._tracks[_key(call)].keys_values
            self.attention.begin(memory, self.clock.position, rows=None)

    def _open_track(self, call: DenoiserCall, hidden: Tensor) -> bool:
        settings = self.settings
        n_bytes = settings.n_kept_tensors(self.n_sites) * hidden.nbytes
        if n_bytes + sum(t.n_bytes for t in self._tracks.values()) > settings.max_mb * MEGABYTE:
            return False
        self._tracks[_key(call)] = _Track(
            TokenMemory(settings.compensation == "linear"),
            KeysValues(settings.context == "extrapolated"),
            n_bytes,
        )
        return True

    def _reduced_steps(self) -> frozenset[int]:
        return self.settings.reduced_steps(self.clock, self.schedule)


def install_pruning(
    roles: Roles,
    name: str,
    settings: PruningSettings,
    schedule: Schedule,
    clock: Clock,
    make_selection: Callable[[DenoiserRoles], Selection],
) -> Installed:
    """Leaves out the tokens that a selection does not choose.

    Args:
        name: Of the technique.
        make_selection: Called once a denoiser: experts do not share state.
    """

    def make_reducer(
        denoiser: DenoiserRoles, active: range, undos: list[Callable[[], None]]
    ) -> Pruning:
        attention = RememberingAttention()
        sites = [] if settings.context == "kept" else _sites_in(denoiser, active)
        for number, site in enumerate(sites):
            undos.append(route_attention(site.module.processor, attention.at(number)))
        selection = make_selection(denoiser)
        pruning = Pruning(settings, schedule, clock, selection, attention, len(sites))
        undos.append(clock.on_step(pruning.end_step))
        return pruning

    return install_reduction(roles, name, schedule, clock, make_reducer)


def _sites_in(denoiser: DenoiserRoles, active: range) -> list[AttentionSite]:
    inside = {module for index in active for module in denoiser.blocks[index].modules()}
    return [site for site in denoiser.grid_attention if site.module in inside]


def _key(call: DenoiserCall) -> _Key:
    return call.branch, tuple(call.latents.shape)
