"""Puts quantised layers into the denoisers, switches them, counts, and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sol.attach import find_places, replace_child, undo_all, undo_on_error, wrap_forward
from sol.clock import Clock
from sol.errors import ConfigError, NoEffectError
from sol.roles import DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.quantization.corrected_linear import Quantize, quantize_with_care
from sol.skills.quantization.placement import choose_layers, parse_placement
from sol.skills.quantization.settings import QuantizationSettings
from sol.skills.quantization.switched_linear import SwitchedLinear
from sol.technique import Evidence, Installed

FindMisfit = Callable[[nn.Linear], str | None]
"""Why a format cannot take a layer, or None if it can."""


def fits_all(_: nn.Linear) -> str | None:
    """For formats that take every layer."""
    return None


@dataclass(frozen=True)
class Quantization:
    """One technique's way of quantising a layer, at its settings.

    Attributes:
        quantize_with_gelu: Makes a drop-in for gelu(linear(x)), in the form that tanh
            approximates, where the technique has something better than one after the other.
    """

    name: str
    settings: QuantizationSettings
    quantize: Quantize
    find_misfit: FindMisfit = fits_all
    quantize_with_gelu: Quantize | None = None

    def find_sites(
        self, denoiser: DenoiserRoles, chosen: Iterable[nn.Module]
    ) -> Iterator[tuple[nn.Module, nn.Linear]]:
        """(module to replace, linear layer that it is or holds) of the chosen layers."""
        pairs = {
            pair.linear: pair.module
            for pair in denoiser.gelu_projections
            # The low-rank correction stands between the layer and its GELU.
            if self.quantize_with_gelu and pair.form == "tanh" and not self.settings.rank
        }
        for layer in chosen:
            if isinstance(layer, nn.Linear):
                yield pairs.get(layer, layer), layer

    def replacement(self, module: nn.Module, linear: nn.Linear) -> nn.Module:
        """What stands in the place of `module`."""
        settings = self.settings
        folded = module is not linear and self.quantize_with_gelu
        quantize = folded or self.quantize
        if settings.needs_switching:
            return SwitchedLinear(module, linear, quantize, settings.rank, settings.smooth)
        return quantize_with_care(linear, quantize, settings.rank)


@dataclass
class _Counts:
    layers_quantized: int = 0
    layers_left_out: int = 0
    quantized_calls: int = 0
    full_calls: int = 0


@dataclass
class _Switch:
    """Decides before each call of one denoiser in which precision it is computed.

    Attributes:
        observed_step: The step of this video in which the activations are looked at.
    """

    settings: QuantizationSettings
    schedule: Schedule
    clock: Clock
    counts: _Counts
    layers: tuple[SwitchedLinear, ...]
    observed_step: int | None = None
    has_smoothed: bool = False

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        is_observing = self._is_observing()
        is_quantized = not is_observing and self.settings.is_for(self.clock, self.schedule)
        if is_quantized and self.settings.smooth and not self.has_smoothed:
            self.has_smoothed = True
            for layer in self.layers:
                layer.quantize_for_what_was_seen()
        self._set(is_quantized, is_observing)
        self.counts.quantized_calls += is_quantized
        self.counts.full_calls += not is_quantized
        return forward(*args, **kwargs)

    def forget(self) -> None:
        """Before a video: nothing of the last one stays."""
        self.observed_step, self.has_smoothed = None, False
        for layer in self.layers:
            layer.forget()

    def _is_observing(self) -> bool:
        """In all calls of the first step that this denoiser computes."""
        if not self.settings.smooth:
            return False
        if self.observed_step is None:
            self.observed_step = self.clock.step
        return self.observed_step == self.clock.step and not self.has_smoothed

    def _set(self, is_quantized: bool, is_observing: bool) -> None:
        for layer in self.layers:
            if (layer.is_quantized, layer.is_observing) != (is_quantized, is_observing):
                layer.is_quantized, layer.is_observing = is_quantized, is_observing


@dataclass
class _Work:
    """What is being installed on all denoisers."""

    how: Quantization
    schedule: Schedule
    clock: Clock
    counts: _Counts = field(default_factory=_Counts)
    misfits: list[str] = field(default_factory=list)
    undos: list[Callable[[], None]] = field(default_factory=list)

    def install_on(self, denoiser: DenoiserRoles) -> None:
        placed = self._replace(denoiser)
        switched = tuple(layer for layer in placed if isinstance(layer, SwitchedLinear))
        switch = _Switch(self.how.settings, self.schedule, self.clock, self.counts, switched)
        self.undos.append(self.clock.on_video(switch.forget))
        # Around the denoiser: a counter inside a compiled block would recompile it.
        self.undos.append(wrap_forward(denoiser.module, f"sol.{self.how.name}", switch.around))

    def _replace(self, denoiser: DenoiserRoles) -> list[nn.Module]:
        active = self.schedule.active_layers(len(denoiser.blocks))
        chosen = choose_layers(denoiser, parse_placement(self.how.settings.layers), active)
        linears = dict(self.how.find_sites(denoiser, chosen))
        placed = []
        for parent, name, module in find_places(denoiser.module, linears):
            misfit = self.how.find_misfit(linears[module])
            if misfit is not None:
                self.misfits.append(misfit)
                continue
            placed.append(self.how.replacement(module, linears[module]))
            self.undos.append(replace_child(parent, name, placed[-1]))
        self.counts.layers_quantized += len(placed)
        return placed


def install_quantized(
    roles: Roles, how: Quantization, schedule: Schedule, clock: Clock
) -> Installed:
    """Replaces the layers that the settings name; the originals are kept and come back on undo.

    Raises:
        ConfigError: A guidance branch is asked for where both are computed in one call.
        NoEffectError: The settings and schedule name no layer, or none that the format can take.
    """
    settings = how.settings
    if settings.branch != "both" and roles.guidance != "two_call":
        raise ConfigError(
            f"branch {settings.branch!r} needs a call for each guidance branch; this pipeline "
            "computes both in one: set branch to 'both'."
        )
    work = _Work(how, schedule, clock)
    with undo_on_error(work.undos):
        for denoiser in roles.denoisers:
            work.install_on(denoiser)
        work.counts.layers_left_out = len(work.misfits)
        if work.counts.layers_quantized == 0:
            raise NoEffectError(_nothing_quantized(how, schedule, work.misfits))

    def evidence() -> Evidence:
        counts = work.counts
        return Evidence(counts.quantized_calls > 0, dict(vars(counts)))

    return Installed(lambda: undo_all(work.undos), evidence)


def _nothing_quantized(how: Quantization, schedule: Schedule, misfits: list[str]) -> str:
    where = f"layers {how.settings.layers!r} in blocks {schedule.layers!r}"
    if misfits:
        return f"{how.name} can take none of the {where}: {misfits[0]}."
    return f"{how.name} found no linear layer for {where}: nothing was quantised."
