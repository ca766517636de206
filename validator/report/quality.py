"""The page's sections on quality: checks with their margins, and clips to look at."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from sol.validator.report.bars import draw_bar
from sol.validator.report.markup import Markup, element, join, table
from sol.validator.report.model import Clip
from sol.validator.report.numbers import show
from sol.validator.verdict import Check, Verdict

_HEAD = ("Check", "Result", "Value", "Bound", "Margin", "n", "Bound against margin", "Detail")


def show_checks(verdict: Verdict) -> Markup:
    """Every check of a verdict; the failed ones first."""
    checks = sorted(verdict.checks, key=lambda check: check.passed)
    source = (
        f"Backend {verdict.label}; profile {verdict.profile}, "
        f"SHA-256 {verdict.profile_digest[:16]}. In each picture, on its own scale: value (dot), "
        "confidence bound (whisker), margin (line), forbidden side (shaded)."
    )
    return join(
        element("p", source, class_="quiet"),
        table(f"Checks of profile {verdict.profile}", _HEAD, [_row(check) for check in checks]),
    )


def show_clips(clips: tuple[Clip, ...], files: Mapping[str, bytes]) -> Markup:
    """Comparisons with the lowest PSNR first."""
    worst_first = sorted(clips, key=lambda clip: clip.psnr)
    return element(
        "div", *(_figure(clip, files.get(clip.file)) for clip in worst_first), class_="clips"
    )


def badge(passed: bool, text: str) -> Markup:
    """A coloured word with a sign, so that colour is not needed to read it."""
    return element(
        "span", f"{'✓' if passed else '✗'} {text}", class_=f"badge {'good' if passed else 'bad'}"
    )


def _row(check: Check) -> tuple[str | None, ...]:
    return (
        element("code", check.name),
        badge(check.passed, "passed" if check.passed else "failed"),
        show(check.value),
        show(check.bound),
        _show_limit(check),
        str(check.n),
        draw_bar(check),
        check.detail,
    )


def _show_limit(check: Check) -> str | None:
    """The margin with its direction, held together by a non-breaking space."""
    if check.margin is None:
        return None
    return f"{'≥' if check.rule == '>=' else '≤'}\N{NO-BREAK SPACE}{check.margin:g}"


def _figure(clip: Clip, content: bytes | None) -> Markup:
    caption = f"Seed {clip.seed} · PSNR {clip.psnr:.1f} dB · SSIM {clip.ssim:.3f}"
    return element(
        "figure",
        _image(clip, content),
        element("figcaption", element("q", clip.prompt), element("span", caption, class_="quiet")),
    )


def _image(clip: Clip, content: bytes | None) -> Markup:
    if content is None:
        return element("p", f"{clip.file} was not stored.", class_="quiet")
    data = base64.b64encode(content).decode("ascii")
    words = f"Baseline left, accelerated right: {clip.prompt}"
    return element("img", src=f"data:image/webp;base64,{data}", alt=words, loading="lazy")
