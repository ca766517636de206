"""Fills in the diagnosis from one instrumented baseline run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sol.attach import wrap_method
from sol.diagnosis import Diagnosis
from sol.roles import DenoiserRoles, Roles


@dataclass
class _Stopwatch:
    """Adds up the seconds spent inside some modules. Modules must not contain one another."""

    synchronize: Callable[[], None]
    clock: Callable[[], float]
    seconds: float = 0.0
    _entered: list[float] = field(default_factory=list)

    def enter(self, *_: Any) -> None:
        self.synchronize()
        self._entered.append(self.clock())

    def leave(self, *_: Any) -> None:
        self.synchronize()
        self.seconds += self.clock() - self._entered.pop()


def diagnose(
    run: Callable[[], object],
    roles: Roles,
    text_encoders: Iterable[nn.Module],
    decoder: nn.Module,
    synchronize: Callable[[], None],
    clock: Callable[[], float],
) -> Diagnosis:
    """Times the parts of one video.

    The stopwatches cost time and no two runs take equally long, so the parts are shares of the run
    that they were timed in, of the total of the other: together they never exceed it.

    Args:
        run: Makes one video with the pipeline of `roles`; called twice, once for the total and
            once with the stopwatches on.
        decoder: Its `decode` method turns latents into frames.
    """

    def time_run() -> float:
        start = clock()
        run()
        synchronize()
        return clock() - start

    total_s = time_run()
    parts = _parts(roles)
    names = ("denoise", "text", *parts)
    watches = {name: _Stopwatch(synchronize, clock) for name in names}
    denoisers = [denoiser.module for denoiser in roles.denoisers]
    with ExitStack() as stack:
        _watch(stack, watches["denoise"], denoisers)
        _watch(stack, watches["text"], text_encoders)
        for name, modules in parts.items():
            _watch(stack, watches[name], modules)
        decode = _watch_method(stack, decoder, "decode", _Stopwatch(synchronize, clock))
        scale = total_s / time_run()
    part_s = {name: watches[name].seconds * scale for name in parts}
    return Diagnosis(
        total_s=total_s,
        denoise_s=watches["denoise"].seconds * scale,
        # Not watched besides: a second stopwatch on a layer would time the first.
        linear_s=sum(part_s[kind] for kind in _linear_kinds(roles)),
        decode_s=decode.seconds * scale,
        text_s=watches["text"].seconds * scale,
        part_s=part_s,
    )


def _linear_kinds(roles: Roles) -> set[str]:
    return {kind for denoiser in roles.denoisers for kind in denoiser.linears_by_kind}


def _parts(roles: Roles) -> dict[str, list[nn.Module]]:
    """Modules by the name of the part that they are, as `Diagnosis.part_s` has it."""
    parts: dict[str, list[nn.Module]] = {}
    for denoiser in roles.denoisers:
        named = {
            "self_attention": denoiser.self_attention,
            "cross_attention": [site.module for site in denoiser.cross_attention],
            "text_projection": [m for site in denoiser.cross_attention for m in site.text_only],
            "prompt_projection": denoiser.prompt_projection,
            "rotary_table": [denoiser.rotary] if denoiser.rotary is not None else [],
            "modulation": denoiser.modulation,
            **_linears_by_kind(denoiser),
        }
        for name, modules in named.items():
            parts.setdefault(name, []).extend(modules)
    return parts


def _linears_by_kind(denoiser: DenoiserRoles) -> dict[str, list[nn.Module]]:
    return {
        kind: [layer for block in blocks for layer in block]
        for kind, blocks in denoiser.linears_by_kind.items()
    }


def _watch(stack: ExitStack, watch: _Stopwatch, modules: Iterable[nn.Module]) -> None:
    for module in modules:
        stack.callback(module.register_forward_pre_hook(watch.enter).remove)
        stack.callback(module.register_forward_hook(watch.leave).remove)


def _watch_method(stack: ExitStack, owner: Any, name: str, watch: _Stopwatch) -> _Stopwatch:
    def timed(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        watch.enter()
        try:
            return original(*args, **kwargs)
        finally:
            watch.leave()

    stack.callback(wrap_method(owner, name, timed))
    return watch
