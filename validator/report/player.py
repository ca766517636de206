"""The players of a page: markup for player.js, which draws both arms of a pair from one clock."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from sol.validator.clips import LOSSY_QUALITY, Sheet
from sol.validator.report.markup import Markup, element

_FOLDER = Path(__file__).parent
_SMALL_PX = 256
"""Stills narrower than this are shown with their pixels as squares, not smoothed."""


@dataclass(frozen=True)
class Arm:
    """One side of a player.

    Attributes:
        label: What the reader sees; a blind page says "Left" and "Right".
        source: URL of the sheet, `data:` or relative.
        still: URL of the still.
    """

    label: str
    source: str
    still: str


def player_script() -> str:
    """The script that a page with players needs, to be inlined as it is."""
    return (_FOLDER / "player.js").read_text(encoding="utf-8")


def page_style() -> str:
    """Colours for light and dark, and the look of players."""
    files = ("theme.css", "player.css")
    return "".join((_FOLDER / name).read_text(encoding="utf-8") for name in files)


def hash_source(text: str) -> str:
    """A Content-Security-Policy source that allows this one inline script: `'sha256-...'`."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def to_data_url(content: bytes, media_type: str) -> str:
    """The content as a URL, so that a page needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def embed_arm(label: str, sheet: Sheet) -> Arm:
    """An arm whose frames are part of the page."""
    source, still = (to_data_url(data, sheet.media_type) for data in (sheet.content, sheet.still))
    return Arm(label, source, still)


def show_player(
    arms: tuple[Arm, Arm], layout: Sheet, fps: float, name: str, *, autoplay: bool = False
) -> Markup:
    """A player with its sheets, and stills for paper and for readers without a script.

    Args:
        layout: Either sheet: both arms have one layout.
        fps: Frames per second at normal speed.
        name: What the player shows, for those who do not see it.
    """
    return element(
        "div",
        *(_sheet(arm, key) for arm, key in zip(arms, "ab", strict=True)),
        element("div", *(_still(arm, layout, name) for arm in arms), class_="stills"),
        class_="player",
        tabindex=0,
        role="group",
        aria_label=f"Player: {name}",
        data_frames=layout.n_frames,
        data_columns=layout.columns,
        data_width=layout.frame_width,
        data_height=layout.frame_height,
        data_fps=f"{fps:g}",
        data_label_a=arms[0].label,
        data_label_b=arms[1].label,
        data_start=layout.middle,
        data_autoplay=autoplay,
    )


def describe_storage(sheet: Sheet) -> str:
    """Whether a player shows the pixels as they are, and otherwise what was done to them."""
    if sheet.is_exact:
        return "Pixels as they are: stored without loss, at full size."
    size = f"reduced {sheet.scale} times in each direction" if sheet.scale > 1 else "at full size"
    pixels = "without loss" if sheet.lossless else f"as WebP of quality {LOSSY_QUALITY}"
    return f"Not the exact pixels: {size}, stored {pixels}."


def _sheet(arm: Arm, key: str) -> Markup:
    return element("img", class_="sheet", data_arm=key, src=arm.source, alt="")


def _still(arm: Arm, layout: Sheet, name: str) -> Markup:
    pixels = "pixels" if layout.frame_width < _SMALL_PX else None
    words = f"{arm.label}, middle frame: {name}"
    image = element(
        "img",
        src=arm.still,
        alt=words,
        class_=pixels,
        width=layout.frame_width,
        height=layout.frame_height,
    )
    return element("div", element("div", arm.label, class_="labels"), image)
