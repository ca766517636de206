"""Predicted against measured: one plot for speed, one for quality, and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence

from sol.validator.report.agreement import FEWEST_COMPARED, Agreement, Guess
from sol.validator.report.axes import Axis, draw_axes, pad, pad_ratio
from sol.validator.report.markup import Markup, element, join, scroll
from sol.validator.report.model import RunReport
from sol.validator.report.numbers import NONE, PSNR_SHOWN_DB

_WIDTH, _HEIGHT = 380, 368
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 52
_DOT = 4.5
_TOO_FEW = "too few to say"


def show_predictions(report: RunReport) -> Markup:
    """The numbers, then the plots; a sentence where nothing was predicted."""
    speed = [guess for stack in report.stacks if (guess := stack.speed_guess)]
    psnr = [guess for stack in report.stacks if (guess := stack.psnr_guess)]
    if not speed and not psnr:
        return element("p", "No stack was measured whose speed or quality had been predicted.")
    words = (
        "Each dot is a composed stack that had not been measured when its numbers were predicted. "
        "On the dashed diagonal the prediction held. Bars: the 95% intervals of what was expected "
        "(across) and of what was measured (upwards), where there are any."
    )
    return join(
        _show_numbers(report.speed_agreement, report.psnr_agreement),
        element("p", words, class_="quiet"),
        element("div", _draw_speed(speed), _draw_psnr(psnr), class_="plots"),
    )


def _show_numbers(speed: Agreement, psnr: Agreement) -> Markup:
    tiles = (
        ("Speed-up: rank correlation", _show_correlation(speed), "Spearman"),
        ("Speed-up: median error", _show_error(speed, "{:.1%}"), "of the measured"),
        ("PSNR: rank correlation", _show_correlation(psnr), "Spearman"),
        ("PSNR: median error", _show_error(psnr, "{:.2f} dB"), None),
        ("Stacks compared", str(speed.n), f"in speed; {psnr.n} in PSNR"),
        *_tile_of_intervals(speed),
    )
    return element("dl", *(_tile(*tile) for tile in tiles), class_="tiles")


def _show_correlation(agreement: Agreement) -> str:
    if agreement.n < FEWEST_COMPARED:
        return _TOO_FEW
    if agreement.rank_correlation is None:
        return NONE
    return f"{agreement.rank_correlation:.2f}"


def _show_error(agreement: Agreement, form: str) -> str:
    return _TOO_FEW if agreement.median_error is None else form.format(agreement.median_error)


def _tile_of_intervals(speed: Agreement) -> list[tuple[str, str, str]]:
    if not speed.n_with_interval:
        return []
    share = f"{speed.n_inside} of {speed.n_with_interval}"
    return [("Measured inside of its interval", share, "95% expected")]


def _tile(name: str, number: str, note: str | None) -> Markup:
    quiet = element("span", note, class_="quiet") if note else None
    return element("div", element("dt", name), element("dd", element("b", number), quiet))


def _draw_speed(guesses: Sequence[Guess]) -> Markup | None:
    if not guesses:
        return None
    numbers = [number for guess in guesses for number in (guess.predicted, guess.measured)]
    low, high = pad_ratio(min(numbers), max(numbers), least=1.1)
    return _draw(guesses, "Speed-up", "x", _axes(low, high, "speed-up", "{:g}x", is_log=True))


def _draw_psnr(guesses: Sequence[Guess]) -> Markup | None:
    if not guesses:
        return None
    numbers = [number for guess in guesses for number in (guess.predicted, guess.measured)]
    low, high = pad(min(numbers), max(numbers), least=2.0)
    return _draw(guesses, "PSNR", " dB", _axes(low, high, "PSNR, dB", "{:g}", is_log=False))


def _axes(low: float, high: float, what: str, form: str, is_log: bool) -> tuple[Axis, Axis]:
    """Both from the same number to the same number: the diagonal is where they are equal."""
    last = float("inf") if is_log else PSNR_SHOWN_DB
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    x = Axis(low, high, left, right, f"predicted {what}", form.format, is_log, last)
    y = Axis(low, high, bottom, _TOP, f"measured {what}", form.format, is_log, last)
    return x, y


def _draw(guesses: Sequence[Guess], name: str, unit: str, axes: tuple[Axis, Axis]) -> Markup:
    x, y = axes
    label = f"{name}: predicted against measured, {len(guesses)} stacks"
    picture = element(
        "svg",
        draw_axes(x, y),
        element("line", x1=x.start, x2=x.end, y1=y.start, y2=y.end, class_="base"),
        *(_draw_guess(guess, unit, x, y) for guess in guesses),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=label,
        class_="square",
    )
    return scroll(label, picture)


def _draw_guess(guess: Guess, unit: str, x: Axis, y: Axis) -> Markup:
    at, level = x.place(guess.predicted), y.place(guess.measured)
    return element(
        "g",
        element("title", _describe(guess, unit)),
        _draw_across(guess, x, level),
        _draw_upwards(guess, y, at),
        element("circle", cx=at, cy=level, r=_DOT),
        class_="guess",
    )


def _describe(guess: Guess, unit: str) -> str:
    likely, spread = guess.likely, guess.spread
    expected = f" ({likely[0]:.3g} to {likely[1]:.3g})" if likely else ""
    seen = f" ({spread.low:.3g} to {spread.high:.3g}, n = {spread.n})" if spread else ""
    return (
        f"{guess.label}\npredicted {guess.predicted:.3g}{unit}{expected}\n"
        f"measured {guess.measured:.3g}{unit}{seen}"
    )


def _draw_across(guess: Guess, x: Axis, level: float) -> Markup | None:
    if guess.likely is None:
        return None
    low, high = guess.likely
    return element("line", x1=x.place(low), x2=x.place(high), y1=level, y2=level)


def _draw_upwards(guess: Guess, y: Axis, at: float) -> Markup | None:
    if guess.spread is None:
        return None
    low, high = guess.spread.low, guess.spread.high
    return element("line", x1=at, x2=at, y1=y.place(low), y2=y.place(high))
