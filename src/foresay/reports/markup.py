"""HTML that what it shows cannot break: every text is escaped; only what is `Html` already goes in as it is."""

import html
from collections.abc import Iterable, Sequence

VOID = {"br", "col", "img", "link", "meta"}
"""Elements that have no end tag."""


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | bool | None) -> Html:
    """Build an element.

    An attribute that is a word of Python ends in an underscore, `-` is written `_`; True stands alone, False and None are left out.

    >>> tag("p", "1 < 2 ", tag("b", "so it is"), class_="law")
    '<p class="law">1 &lt; 2 <b>so it is</b></p>'
    """
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(attribute)
        elif value is not None and value is not False:
            words.append(f'{attribute}="{html.escape(value)}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening) if name in VOID else Html(f"{opening}{join(content)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Put parts one after another, escaping those that are not HTML."""
    return Html(escaped(between).join(escaped(part) for part in parts))


def escaped(text: str) -> str:
    """Return HTML as it is and escape everything else."""
    return text if isinstance(text, Html) else html.escape(text)


def table(head: Sequence[str], rows: Iterable[str], *, class_: str | None = None) -> Html:
    """Build a table from its column titles (perhaps none) and its rows (of `row`); it scrolls sideways where the screen is narrow."""
    titles = [tag("thead", tag("tr", *(tag("th", title, scope="col") for title in head)))] if head else []
    return tag("div", tag("table", *titles, tag("tbody", *rows), class_=class_), class_="scroll")


def row(title: str, *cells: str, class_: str | None = None) -> Html:
    """Build a row whose first cell names it."""
    return tag("tr", tag("th", title, scope="row"), *(tag("td", cell) for cell in cells), class_=class_)
