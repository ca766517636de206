"""HTML elements as pure functions; text is escaped unless it is markup already."""

from __future__ import annotations

import html

from sol.validator.report.numbers import NONE

_VOID = frozenset({"img", "br"})


class Markup(str):
    """Text that is safe to put into a page as it stands."""

    __slots__ = ()


Child = str | Markup | None


def element(
    name: str, /, *children: Child, **attributes: str | int | float | bool | None
) -> Markup:
    """An element with its children in order.

    Attribute names lose a trailing underscore (`class_`), the others become hyphens; True gives a
    bare attribute, None and False none. A child that is None is left out.
    """
    opening = "".join(
        f" {_attribute(key, value)}"
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """The children one after the other, each escaped unless it is markup."""
    return Markup("".join(_escape(child) for child in children if child is not None))


def table(
    label: str, head: tuple[str, ...], rows: list[tuple[Child, ...]], class_: str | None = None
) -> Markup:
    """A table with a heading for each column; an empty cell shows a dash."""
    cells = join(*(element("th", text, scope="col") for text in head))
    body = join(*(element("tr", *(element("td", cell or NONE) for cell in row)) for row in rows))
    parts = (element("thead", element("tr", cells)), element("tbody", body))
    return scroll(label, element("table", *parts, class_=class_))


def badge(passed: bool, text: str) -> Markup:
    """A coloured word with a sign, so that colour is not needed to read it."""
    return element(
        "span", f"{'✓' if passed else '✗'} {text}", class_=f"badge {'good' if passed else 'bad'}"
    )


def scroll(label: str, content: Markup) -> Markup:
    """Content that scrolls by itself where it does not fit, by keyboard too."""
    return element("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def _attribute(key: str, value: str | int | float | bool) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return name if value is True else f'{name}="{html.escape(str(value))}"'


def _escape(child: str) -> str:
    return child if isinstance(child, Markup) else html.escape(child)
