"""The surface of a tuner: the error rate at each pair of weights, as a picture and as a small table for the terminal."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from foresay.reports.canvas import INK, SERIES, draw_alone

ACROSS, DOWN = 5, 6
"""Fields of the table."""
SIZE = (5.6, 3.8)


class Surface(Protocol):
    """What was tuned."""

    @property
    def points(self) -> Sequence[tuple[float, float]]:
        """(a, b) of each."""

    @property
    def rates(self) -> Sequence[float]:
        """Error rate at each."""

    @property
    def flat(self) -> Sequence[bool]:
        """Whether it is as low as the lowest, within one standard error."""


def draw_surface(surface: Surface, chosen: tuple[float, float], names: tuple[str, str], title: str) -> str:
    """Draw the points by their error rates, the flat region with edges, and what was chosen: the text of an SVG file."""

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        points, rates, flat = np.array(surface.points), 100 * np.array(surface.rates), np.array(surface.flat)
        order = np.argsort(-rates)  # the lowest on top
        edges = np.where(flat[order], 1.2, 0.0)
        dots = axes.scatter(*points[order].T, c=rates[order], s=38, cmap="viridis_r", linewidths=edges, edgecolors=INK)
        axes.plot(*chosen, marker="+", markersize=16, markeredgewidth=2.5, color=SERIES[1], label="chosen")
        axes.set(xlabel=f"{names[0]} (nats)", ylabel=f"{names[1]} (nats)", title=title)
        figure.colorbar(dots, label="error rate (%)")

    return draw_alone("surface", SIZE, paint)


def as_text(surface: Surface) -> list[str]:
    """Lay out the lowest error rate of each field of the surface, a to the right, b upwards; * where a flat point lies."""
    points, rates, flat = np.array(surface.points), 100 * np.array(surface.rates), np.array(surface.flat)
    low, high = points.min(0), points.max(0)
    places = np.minimum((points - low) / (high - low) * (ACROSS, DOWN), (ACROSS - 1, DOWN - 1)).astype(int)
    middles = [low[k] + (np.arange(count) + 0.5) / count * (high[k] - low[k]) for k, count in enumerate((ACROSS, DOWN))]
    lines = []
    for row in range(DOWN - 1, -1, -1):
        cells = []
        for column in range(ACROSS):
            inside = (places == (column, row)).all(1)
            mark = "*" if flat[inside].any() else " "
            cells.append(f"{rates[inside].min():7.1f}{mark}" if inside.any() else " " * 8)
        lines.append(f"{middles[1][row]:+7.1f} |{''.join(cells)}".rstrip())
    return [*lines, f"{'b / a':>7} |{''.join(f'{a:7.2f} ' for a in middles[0])}".rstrip()]
