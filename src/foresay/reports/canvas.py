"""Pictures as inline SVG: drawn by matplotlib without its global state, colored by the page.

Colors are written as CSS variables of the page, so one picture serves light and dark. Dense images stand inside the SVG as PNG, with
their axes and labels as text. The same input gives the same bytes, whatever the user's matplotlibrc says.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from foresay.extras import optional
from foresay.reports.markup import Html, escaped, tag

PAPER, INK, SOFT, GRID = "#fefdfc", "#1b1c20", "#5d626b", "#dcdfe4"
SERIES = ("#0067a8", "#c4500a", "#007a5a", "#a8428a", "#7a6400", "#4b5bd4")
"""Distinct for color-blind readers too (after Okabe and Ito, darkened for thin lines on white)."""

THEME = {PAPER: "paper", INK: "ink", SOFT: "soft", GRID: "grid"} | {color: f"series-{i}" for i, color in enumerate(SERIES, start=1)}
"""The colors that the page replaces by its own: hex -> name of the CSS variable."""

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))
SMALL = 7.5
"""Points, of labels inside a picture."""

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "image.interpolation": "none",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "xtick.labelsize": 8,
    "ytick.color": SOFT,
    "ytick.labelsize": 8,
}


def dot(run: int | None, *, pale: bool = False) -> Html:
    """Return a dot in the color of a run, by its place on the page; gray where it is none."""
    color = "reference" if run is None else f"series-{run % len(SERIES) + 1}"
    return tag("span", class_=f"dot {color}{' pale' if pale else ''}", aria_hidden="true")


def legend(names: Mapping[int, str]) -> Html:
    """List runs with their colors, by their places on the page."""
    return tag("ul", *(tag("li", dot(run), name) for run, name in names.items()), class_="legend")


def series_color(index: int) -> str:
    """Return the color of the run or line at `index`."""
    return SERIES[index % len(SERIES)]


def draw(name: str, description: str, size: tuple[float, float], paint: Callable[[Any], None], *, class_: str = "picture") -> Html:
    """Let `paint(figure)` draw on a matplotlib figure of `size` inches and return it as an SVG element of a page.

    `name` is unique on the page: the ids inside the SVG begin with it. `description` is read to those who do not see the picture.
    Axes fit themselves to their labels (constrained layout) unless `paint` places them.
    """
    return Html(_inline(draw_alone(name, size, paint, "a report"), name, description, class_))


def draw_alone(name: str, size: tuple[float, float], paint: Callable[[Any], None], use: str = "a picture") -> str:
    """Let `paint(figure)` draw, as `draw` does, and return the text of an SVG file. `use` is what for, if matplotlib is missing."""
    with optional("matplotlib", "plot", use):
        import matplotlib as mpl  # noqa: PLC0415 - an optional extra
        from matplotlib import style  # noqa: PLC0415
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    buffer = io.StringIO()
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)  # the browser has other fonts
        mpl.rcParams["svg.hashsalt"] = name
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        if figure.axes and (layout := figure.get_layout_engine()):  # once: saving would lay it out twice, and draw it twice for that
            layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _inline(svg: str, name: str, description: str, class_: str) -> str:
    """Make a standalone SVG file an element of the page."""
    body = svg[svg.index("<svg") :].rstrip()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    start = f'<svg class="{class_}" role="img" {box[0] if box else ""}><title>{escaped(description)}</title>'
    body = start + body[body.index(">") + 1 :]
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-').replace("xlink:href=", "href=")
    body = re.sub(r"(font: [^'\";]*)'DejaVu Sans'[^;\"]*", r"\1var(--font)", body)
    body = re.sub(r'style="[^"]*"', lambda style: _themed(style[0]), body)
    return re.sub(r"\n\s*", "\n", body)


def _themed(style: str) -> str:
    """Put the page's variables in the place of the colors of a picture."""
    return re.sub("|".join(THEME), lambda color: f"var(--{THEME[color[0]]})", style)
