"""Learning curves: what metrics.jsonl logged, over updates, several runs on one picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import DASHES, SOFT, draw, legend, series_color
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.record import Record
from foresay.reports.reference_curves import differences, reference_of
from foresay.reports.wording import listed, number, plural

TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy in the training task",
    "lr": "Learning rate",
    "audio_rate": "Throughput (audio seconds per second)",
    "data_wait": "Share of time spent waiting for data",
    "grad_norm": "Gradient norm",
    "latent_std": "Spread of the latents (standard deviation)",
    "code_perplexity": "Perplexity of the codes",
    "code_use": "Share of the codes in use",
    "skipped": "Updates skipped",
}
"""Titles of what every run logs, in the order of the page; other scalars follow under their own names."""

FROM_ZERO = {"accuracy", "lr", "audio_rate", "data_wait", "grad_norm", "code_perplexity", "code_use", "skipped"}
"""Curves whose zero means something: their axis begins there."""

POINTS = 250
"""Points drawn of a curve; a longer one is averaged, with its range as a band."""

MOST_EVENTS = 30
"""Events listed; a run that warns at every update must not bury the page."""

VALID = {"linewidth": 0.8, "marker": "o", "markersize": 3.5}
"""How validation is drawn."""

BEHIND = {"color": SOFT, "alpha": 0.45, "zorder": 1.5}
"""How the reference run of a recipe is drawn."""


def training_section(records: Sequence[Record]) -> Html:
    """The curves of all runs, and what happened on the way."""
    parts = [] if len(records) == 1 else [legend({place: record.name for place, record in enumerate(records)})]
    references = {record.recipe_name: reference for record in records if (reference := reference_of(record))}
    curves = _curves(records, list(references.values()))
    if curves:
        parts.append(tag("div", *curves, class_="panels"))
        parts += [_behind(record, references[record.recipe_name]) for record in records if record.recipe_name in references]
    silent = [record.name for record in records if not record.scalars]
    if silent:
        parts.append(tag("p", f"No update of {listed(silent)} has been logged (metrics.jsonl).", class_="missing"))
    if len({record.recipe.get("model", {}).get("name") for record in records}) > 1:
        note = "The losses of different models measure different things; compare their accuracies, or better what was learned."
        parts.append(tag("p", note, class_="caption"))
    return join([*parts, _events(records)])


def _behind(record: Record, reference: Record) -> Html:
    """Say what is drawn in gray, and what is not alike."""
    changed = differences(record, reference)
    unlike = f", which differs from {record.name} in {listed(changed)}" if changed else f", with the settings of {record.name}"
    return tag("p", f"Gray: our own run of {reference.name}{unlike}.", class_="caption")


def _curves(records: Sequence[Record], references: Sequence[Record]) -> list[Html]:
    """A picture for each scalar that any run logged; updates are skipped so rarely that they are drawn only if any was."""
    logged = list(dict.fromkeys(scalar for record in records for scalar in record.scalars))
    scalars = [s for s in TITLES if s in logged] + [s for s in logged if s not in TITLES]
    skipped = any(record.curve("train", "skipped")[1].any() for record in records)
    drawn = [scalar for scalar in scalars if scalar != "skipped" or skipped]
    return [_draw(scalar, f"curve-{scalars.index(scalar)}", records, references) for scalar in drawn]


def _events(records: Sequence[Record]) -> Html:
    """What the run itself found worth saying: skipped updates, collapse warnings, audio that could not be read."""
    events = [(record.name, line) for record in records for line in record.lines_of("event")]
    title = tag("h3", "Events")
    if not events:
        none = tag("p", "None: every update was finite, nothing collapsed, all audio could be read.")
        return join([title, none]) if any(record.step for record in records) else Html()
    several = len(records) > 1
    shown = events[:MOST_EVENTS]
    rows = [row(number(line.get("step", 0)), *([name] if several else []), str(line.get("message", ""))) for name, line in shown]
    head = ["update", *(["run"] if several else []), "what happened"]
    left = len(events) - len(shown)
    more = [tag("p", f"{plural(left, 'more event')} in metrics.jsonl.", class_="caption")] if left else []
    return join([title, table(head, rows, class_="events"), *more])


def thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbors until `POINTS` are left: steps (P,), means (P,), lowest and highest values (2, P). Gaps are passed over."""
    finite = np.isfinite(values)
    if len(values) <= POINTS or not finite.any():
        return steps, values, np.stack([values, values])
    parts = np.array_split(np.flatnonzero(finite), POINTS)
    parts = [part for part in parts if len(part)]
    means = np.array([values[part].mean() for part in parts])
    ranges = np.array([[values[part].min(), values[part].max()] for part in parts]).T
    return np.array([steps[part].mean() for part in parts]), means, ranges


def _draw(scalar: str, name: str, records: Sequence[Record], references: Sequence[Record]) -> Html:
    title = TITLES.get(scalar, scalar)

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        for reference in references:
            axes.plot(*reference.curve("train", scalar), **BEHIND, linewidth=3)
            axes.plot(*reference.curve("valid", scalar), **BEHIND, linewidth=1, linestyle="--")
        for place, record in enumerate(records):
            look = {"color": series_color(place), "linestyle": DASHES[place % len(DASHES)]}
            steps, values, band = thinned(*record.curve("train", scalar))
            axes.fill_between(steps, *band, color=look["color"], alpha=0.18, linewidth=0)
            axes.plot(steps, values, **look, label="train" if place == 0 and len(steps) else None)
            steps, values = record.curve("valid", scalar)
            if len(steps):
                axes.plot(steps, values, **look, **VALID, label="valid" if place == 0 else None)
        if scalar in FROM_ZERO:
            axes.set_ylim(bottom=0.0)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend(loc="best", ncols=2)
        axes.set(title=title, xlabel="updates")
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.locator_params(axis="y", nbins=5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: number(value))

    return draw(name, f"{title} over updates", (4.6, 2.7), paint)
