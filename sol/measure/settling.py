"""Records which tokens settle early: `sol.diagnosis.Settling`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sol.clock import Clock
from sol.diagnosis import Settling
from sol.roles import DenoiserRoles, Roles
from sol.scheduler_step import before_step

_TAU = 0.05
_MOST_FRAMES, _MOST_ROWS = 8, 4
_FLOW = "flow_prediction"


@dataclass
class _Video:
    """Squared norms of one video, (frames, rows, columns): of each change, and of the last x0."""

    changes: list[Tensor] = field(default_factory=list)
    clean: Tensor | None = None


@dataclass
class SettlingWatch:
    """What was recorded so far.

    Attributes:
        read_squares: Of latents as the scheduler has them, the squared norm of each token.
        before: x0 of the step before.
    """

    clock: Clock
    tau: float
    read_squares: Callable[[Tensor], Tensor] | None = None
    videos: dict[int, _Video] = field(default_factory=dict)
    before: Tensor | None = None

    def note(self, velocity: Tensor, latents: Tensor) -> None:
        """Records a step's guided prediction, and the latents that it was made of."""
        sigma = self.clock.sigma
        if sigma is None or self.read_squares is None:
            return
        clean = latents.detach().float() - sigma * velocity.detach().float()
        video = self.videos.setdefault(self.clock.video, _Video())
        if self.clock.step > 0 and self.before is not None:
            video.changes.append(self.read_squares(clean - self.before).cpu())
        video.clean = self.read_squares(clean).cpu()
        self.before = clean

    def settling(self) -> Settling | None:
        """Means over the videos; None where nothing could be recorded."""
        videos = [relative_changes(v) for v in self.videos.values() if v.changes]
        if not videos:
            return None
        steps = [settling_steps(changes, self.tau) for changes in videos]
        by_step = torch.arange(videos[0].shape[0] + 1)[:, None, None, None]
        return Settling(
            n_videos=len(videos),
            tau=self.tau,
            settled=_mean([(by_step >= s).float().mean((1, 2, 3)) for s in steps]),
            change=_mean([changes.mean((1, 2, 3)) for changes in videos]),
            spread=_mean([spread(changes) for changes in videos]),
            settling_step=_coarse(torch.stack([s.float() for s in steps]).mean(0)),
        )


@contextmanager
def watch_settling(
    roles: Roles, scheduler: Any, clock: Clock, tau: float = _TAU
) -> Iterator[SettlingWatch]:
    """Records the videos that are made inside; nothing where predictions are no velocities, or
    where it is not known which token is where.

    Args:
        scheduler: The pipeline's own.
        clock: Ticks with the pipeline.
    """
    watch = SettlingWatch(clock, tau)
    with ExitStack() as stack:
        is_flow = scheduler.config.get("prediction_type", _FLOW) == _FLOW
        if is_flow and not roles.is_inspected:
            stack.callback(before_step(scheduler, lambda v, _, x: watch.note(v, x)))
            for denoiser in roles.denoisers:
                hook = _reading(denoiser, watch)
                handle = denoiser.module.register_forward_pre_hook(hook, with_kwargs=True)
                stack.callback(handle.remove)
        yield watch


def relative_changes(video: _Video) -> Tensor:
    """|x0_t - x0_{t-1}| of each token from step 1 on, (steps - 1, frames, rows, columns)."""
    assert video.clean is not None
    scale = video.clean.mean().sqrt().clamp(min=1e-12)
    return torch.stack(video.changes).sqrt() / scale


def settling_steps(changes: Tensor, tau: float) -> Tensor:
    """The step after which each token never changes by tau again, (frames, rows, columns)."""
    steps = torch.arange(1, changes.shape[0] + 1)[:, None, None, None]
    return (steps * (changes >= tau)).amax(0)


def spread(changes: Tensor) -> Tensor:
    """(steps - 1,): the least changing quarter of the tokens beside the most changing one."""
    ordered = changes.flatten(1).sort(dim=1).values
    n_quarter = max(ordered.shape[1] // 4, 1)
    most = ordered[:, -n_quarter:].mean(1)
    return torch.where(most > 0, ordered[:, :n_quarter].mean(1) / most, 1.0)


def _reading(denoiser: DenoiserRoles, watch: SettlingWatch) -> Callable[..., None]:
    """Before each call: by its arguments latents are laid out as the tokens of the blocks."""

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        sizes = denoiser.token_grid(args, kwargs).sizes

        def read(latents: Tensor) -> Tensor:
            layout = denoiser.grid
            grid = latents if layout is None else layout.to_grid(latents, args, kwargs)
            # A token is a patch of the latents, if not one of them.
            return functional.adaptive_avg_pool3d(grid.square().sum(1), sizes).mean(0)

        watch.read_squares = read

    return enter


def _coarse(steps: Tensor) -> tuple[tuple[tuple[float, ...], ...], ...]:
    frames, height, width = steps.shape
    sizes = (min(frames, _MOST_FRAMES), min(height, _MOST_ROWS), min(width, _MOST_ROWS))
    cells: list[list[list[float]]] = functional.adaptive_avg_pool3d(steps[None], sizes)[0].tolist()
    return tuple(tuple(tuple(row) for row in frame) for frame in cells)


def _mean(series: list[Tensor]) -> tuple[float, ...]:
    return tuple(torch.stack(series).mean(0).tolist())
