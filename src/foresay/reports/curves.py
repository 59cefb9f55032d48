"""Learning curves: what metrics.jsonl logged, over updates, several runs on one picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import DASHES, SOFT, draw, series_color
from foresay.reports.markup import Html
from foresay.reports.record import Record
from foresay.reports.wording import number

TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy of the contrastive task",
    "lr": "Learning rate",
    "audio_rate": "Throughput (audio seconds per second)",
    "data_wait": "Share of time spent waiting for data",
    "grad_norm": "Gradient norm",
    "latent_std": "Spread of the latents (standard deviation)",
    "skipped": "Updates skipped",
}
"""Titles of what every run logs, in the order of the page; other scalars follow under their own names."""

FROM_ZERO = {"accuracy", "lr", "audio_rate", "data_wait", "grad_norm", "skipped"}
"""Curves whose zero means something: their axis begins there."""

POINTS = 250
"""Points drawn of a curve; a longer one is averaged, with its range as a band."""


def draw_curves(records: Sequence[Record]) -> list[Html]:
    """Draw one picture for each scalar that any of the runs logged and that ever changed or matters anyway."""
    logged = dict.fromkeys(scalar for record in records for scalar in record.scalars)
    scalars = [s for s in TITLES if s in logged] + [s for s in logged if s not in TITLES]
    return [_draw_scalar(scalar, records) for scalar in scalars if scalar != "skipped" or _total_skipped(records)]


def legend(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Return the names of the runs and the numbers of their colors (1, 2, …), as the page's legend shows them."""
    return [(record.name, index + 1) for index, record in enumerate(records)]


def thinned(steps: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbors until at most `POINTS` are left: steps (P,), means (P,), and lowest and highest value (2, P). Gaps stay gaps."""
    if len(values) <= POINTS:
        return steps, values, np.stack([values, values])
    parts = list(zip(np.array_split(steps, POINTS), np.array_split(values, POINTS), strict=True))
    whole = [np.where(np.isfinite(v), v, np.nan) for _, v in parts]
    means = np.array([v[np.isfinite(v)].mean() if np.isfinite(v).any() else np.nan for v in whole])
    lowest = np.array([np.fmin.reduce(v) for v in whole])
    highest = np.array([np.fmax.reduce(v) for v in whole])
    return np.array([s.mean() for s, _ in parts]), means, np.stack([lowest, highest])


def _draw_scalar(scalar: str, records: Sequence[Record]) -> Html:
    title = TITLES.get(scalar, scalar)

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        validated = False
        for index, record in enumerate(records):
            color, dashes = series_color(index), DASHES[index % len(DASHES)]
            steps, values, band = thinned(*record.curve("train", scalar))
            if len(steps):
                axes.fill_between(steps, *band, color=color, alpha=0.18, linewidth=0)
                axes.plot(steps, values, color=color, linestyle=dashes)
            steps, values = record.curve("valid", scalar)
            if len(steps):
                validated = True
                axes.plot(steps, values, color=color, linewidth=0.8, linestyle=dashes, marker="o", markersize=4, markerfacecolor="white")
        if scalar in FROM_ZERO:
            axes.set_ylim(bottom=0.0)
        if validated:
            axes.plot([], [], color=SOFT, label="train")
            axes.plot([], [], color=SOFT, linewidth=0.8, marker="o", markersize=4, markerfacecolor="white", label="valid")
            axes.legend(loc="best", ncols=2)
        axes.set(title=title, xlabel="updates")
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.locator_params(nbins=5)

    return draw(f"curve-{scalar}", f"{title} over updates", (4.6, 2.7), paint)


def _total_skipped(records: Sequence[Record]) -> float:
    return sum(float(np.nansum(record.curve("train", "skipped")[1])) for record in records)
