"""Pictures: themed by the page, distinguished by their names, free of matplotlib's global state."""

import sys
from typing import Any

import matplotlib as mpl
import pytest

from foresay.errors import UserError
from foresay.reports.canvas import INK, THEME, draw, series_color


def paint(figure: Any) -> None:  # noqa: ANN401 - as in the package
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=series_color(0), label="a < b & $c$")
    axes.text(0.5, 0.5, "#1b1c20", color=INK)
    axes.legend()


def test_colors_are_those_of_the_page() -> None:
    svg = draw("one", "a line", (3, 2), paint)
    assert "var(--series-1)" in svg
    assert "#1b1c20" in svg  # as text, which stays what it is
    assert not [color for color in THEME if color in svg.replace(">#1b1c20<", "")]


def test_pictures_of_one_page_do_not_share_ids() -> None:
    one, two = (draw(name, "a line", (3, 2), paint) for name in ("one", "two"))
    assert one != two
    assert one.replace('="one-', '="two-').count('id="two-') == two.count('id="two-')
    assert "url(#one-" in one


def test_text_is_text_and_escaped() -> None:
    svg = draw("one", "less < more", (3, 2), paint)
    assert "<title>less &lt; more</title>" in svg
    assert "a &lt; b &amp; $c$" in svg


def test_a_letter_the_font_lacks_is_left_to_the_browser() -> None:
    assert "\N{GOTHIC LETTER AHSA}" in draw("one", "", (3, 2), lambda figure: figure.text(0, 0, "\N{GOTHIC LETTER AHSA}"))


def test_settings_of_the_user_change_nothing_and_stay() -> None:
    before = draw("one", "", (3, 2), paint)
    with mpl.rc_context({"lines.linewidth": 9.0, "font.size": 30.0}):
        assert draw("one", "", (3, 2), paint) == before
        assert mpl.rcParams["lines.linewidth"] == 9.0
    assert "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python's own way to say that a module is not there
    with pytest.raises(UserError, match="a report needs the package matplotlib, which is not installed: pip install"):
        draw("one", "", (3, 2), paint)
