"""The page's section of players: the pairs that are worst, with why they are shown."""

from __future__ import annotations

from collections.abc import Mapping

from sol.validator.clips import Sheet
from sol.validator.report.markup import Markup, element, join
from sol.validator.report.model import Clip
from sol.validator.report.player import embed_arm, show_player

Sheets = Mapping[str, tuple[Sheet, Sheet]]
"""By the id of a clip: the baseline's and the accelerated video's."""

_KEYS = (
    ("Space", "play"),
    (", .", "step"),
    ("S W D F", "side by side, wipe, difference, flip"),
    ("X", "other arm"),
    ("G", "amplification"),
    ("[ ]", "speed"),
    ("L", "loop"),
    ("Home End", "first, last frame"),
)


def show_clips(clips: tuple[Clip, ...], sheets: Sheets) -> Markup:
    """A player for each clip, in order."""
    if not clips:
        return element("p", "The run keeps no videos of this stack.")
    figures = (_figure(clip, sheets.get(clip.id), i == 0) for i, clip in enumerate(clips))
    return join(_show_keys(), element("div", *figures, class_="clips"))


def _show_keys() -> Markup:
    keys = (join(element("kbd", key), f" {what}; ") for key, what in _KEYS)
    words = "arrow keys move the slider that has the focus."
    return element("p", "In a player: ", *keys, words, class_="quiet keys")


def _figure(clip: Clip, sheets: tuple[Sheet, Sheet] | None, is_first: bool) -> Markup:
    return element(
        "figure",
        element("figcaption", _caption(clip)),
        _player(clip, sheets, is_first) if sheets else None,
        element("p", clip.storage, class_="quiet"),
    )


def _caption(clip: Clip) -> Markup:
    kind = f", {clip.stratum}" if clip.stratum else ""
    numbers = " · ".join(f"{name} {value:.4g}" for name, value in clip.metrics.items())
    return join(
        element("b", "; ".join(clip.reasons)),
        element("div", element("q", clip.prompt), f" seed {clip.seed}{kind}"),
        element("div", numbers, class_="quiet"),
    )


def _player(clip: Clip, sheets: tuple[Sheet, Sheet], is_first: bool) -> Markup:
    labels = ("Baseline", "Accelerated")
    baseline, accelerated = (embed_arm(*arm) for arm in zip(labels, sheets, strict=True))
    name = f"{clip.prompt}, seed {clip.seed}"
    return show_player((baseline, accelerated), sheets[0], clip.fps, name, autoplay=is_first)
