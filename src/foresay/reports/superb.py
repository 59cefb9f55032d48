"""SUPERB at a glance: models by tasks, a score, what each layer counts in each task, and whether another head ranks the models alike.

The score of n tasks is 1000 / n times the sum over tasks of the mean over a task's metrics of (s - s_logmel) / (s_best - s_logmel): 0 for
log-mel, 1000 for what is the best in everything (SUPERB's leaderboard, where s_best is that of its best model). Here s_best is the best
of the table.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from foresay.reports import markup
from foresay.reports.canvas import draw
from foresay.reports.comparisons import Comparison
from foresay.reports.markup import Html, join, row, tag
from foresay.reports.wording import PERCENT, amount
from foresay.results import Result, middle

SHORT = {
    "phoneme_recognition": "PR",
    "speech_recognition": "ASR",
    "keyword_spotting": "KS",
    "query_by_example": "QbE",
    "speaker_identification": "SID",
    "speaker_verification": "ASV",
    "diarization": "SD",
    "emotion_recognition": "ER",
    "intent_classification": "IC",
    "slot_filling": "SF",
}
"""The tasks by their measures, in the order of the paper's table."""
MAIN = ("sum", "best layer")
"""Rows of results that are the task's own: the published head on a weighted sum, or, without a head, the layer that is best on valid."""
BASELINE = "logmel"
RANKED = 3
"""Models that it takes to compare rankings."""

PUBLISHED = {
    "FBANK": (82.01, 23.18, 8.63, 0.0058, 0.085, 9.56, 10.05, 35.39, 9.10, 69.64, 52.94),
    "modified CPC": (42.54, 20.18, 91.88, 0.0326, 39.63, 12.86, 10.38, 60.96, 64.09, 71.19, 49.91),
    "wav2vec": (31.58, 15.86, 95.59, 0.0485, 56.56, 7.99, 9.90, 59.79, 84.92, 76.37, 43.71),
    "wav2vec 2.0 BASE": (5.74, 6.43, 96.23, 0.0233, 75.18, 6.02, 6.08, 63.43, 92.35, 88.30, 24.77),
    "HuBERT BASE": (5.41, 6.42, 96.30, 0.0736, 81.42, 5.11, 5.88, 64.92, 98.34, 88.53, 25.20),
    "WavLM BASE+": (4.07, 5.64, 96.69, 0.0990, 86.84, 4.26, 4.07, 67.98, 99.16, 89.73, 21.54),
    "WavLM LARGE": (3.09, 3.51, 97.40, 0.0827, 95.25, 4.04, 3.47, 70.03, 99.10, 92.25, 17.61),
}
"""Published rows, in % but for QbE: the table of WavLM (arXiv:2110.13900) and of SUPERB (arXiv:2105.01051)."""
COLUMNS = ("PR", "ASR", "KS", "QbE", "SID", "ASV", "SD", "ER", "IC", "SF F1", "SF CER")
"""Theirs."""


class Edition(NamedTuple):
    """A task as it was measured: numbers of two editions stand beside each other, and are never one."""

    measure: str
    protocol: str
    corpus: str
    data: str
    """A digest of what the corpora hold; nothing for folds, which are one."""

    @classmethod
    def of(cls, result: Result) -> "Edition":
        """Read it off a number."""
        fold = result.corpus.startswith("fold")
        return cls(result.measure, result.protocol, *(("folds", "") if fold else (result.corpus, result.data_fingerprint)))


def _labels(results: Sequence[Result]) -> dict[Edition, str]:
    """Name tasks by their short names, with protocol and corpus where there are several editions."""
    found = list(dict.fromkeys(Edition.of(one) for one in results if one.measure in SHORT))
    several = {one.measure for one in found if sum(other.measure == one.measure for other in found) > 1}
    return {
        one: f"{SHORT[one.measure]} ({', '.join(filter(None, (one.protocol, one.corpus, one.data[:4])))})"
        if one.measure in several
        else SHORT[one.measure]
        for one in found
    }


class Cell(NamedTuple):
    """A number of a model in a task, a mean over folds where there are any."""

    value: float
    low: float | None
    high: float | None
    unit: str
    direction: str

    @classmethod
    def of(cls, folds: Sequence[Result]) -> "Cell":
        """Take the mean of all folds; the interval is that of the mean."""
        first, drawn = folds[0], [one.draws.values for one in folds if one.draws is not None and len(one.draws.values)]
        value = float(np.mean([one.value for one in folds]))
        low, high = (first.low, first.high) if len(folds) == 1 else middle(np.mean(drawn, 0)) if len(drawn) == len(folds) else (None, None)
        return cls(value, low, high, first.unit, first.direction)

    @property
    def text(self) -> str:
        """The number with its interval."""
        value = amount(self.value, unit=self.unit)
        if self.low is None or self.high is None:
            return value
        return f"{value} [{amount(self.low, unit=self.unit)}, {amount(self.high, unit=self.unit)}]"


def table(results: Sequence[Result], *, published: bool = False) -> list[list[str]]:
    """Write models by tasks, the head first; `published`: with the rows of the papers, where the data are theirs."""
    found = _cells(results)
    order = list(SHORT.values())
    columns = sorted(dict.fromkeys(column for cells in found.values() for column in cells), key=lambda one: order.index(one.split()[0]))
    units = {column: cell.unit for cells in found.values() for column, cell in cells.items()}
    scores = superb_scores(found)
    rows = [["model", *(f"{column}, %" if units[column] == PERCENT else column for column in columns), "score"]]
    for model, cells in found.items():
        rows.append([model, *(cells[one].text if one in cells else "" for one in columns), f"{scores[model]:.0f}" if scores else ""])
    if published:
        for name, values in PUBLISHED.items():
            known = dict(zip(COLUMNS, values, strict=True))
            theirs = (f"{known[one]:g}" if one in known else "" for one in map(_task, columns))
            rows.append([f"{name} (published, original data)", *theirs, ""])
    return rows


def superb_scores(cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, float]:
    """Return the score of each model; nothing without log-mel, or where a model lacks a task."""
    columns = {column for row in cells.values() for column in row}
    if BASELINE not in cells or any(row.keys() != columns for row in cells.values()) or len(cells) == 1:
        return {}
    scores = {}
    for model, row_ in cells.items():
        tasks: dict[str, list[float]] = {}
        for column, cell in row_.items():
            base, all_values = cells[BASELINE][column].value, [other[column].value for other in cells.values()]
            best = min(all_values) if cell.direction == "lower" else max(all_values)
            share = (cell.value - base) / (best - base) if best != base else 0.0
            tasks.setdefault(column.split()[0], []).append(share)
        scores[model] = 1000 * float(np.mean([np.mean(shares) for shares in tasks.values()]))
    return scores


def agreement(results: Sequence[Result]) -> list[str]:
    """Say of each task whether another head, or normalized layers, rank the models as the published head does: Kendall's tau."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    labels = _labels(results)
    for one in results:
        if one.headline and one.split == "test" and one.measure in SHORT:
            column = f"{labels[Edition.of(one)]} {one.metric}"
            found.setdefault((column, one.layer), {}).setdefault(one.model, []).append(one.value)
    lines = []
    for (column, layer), values in found.items():
        own = found.get((column, MAIN[0]), {})
        models = sorted(own.keys() & values.keys())
        if layer not in MAIN and layer.startswith(("sum", "normed sum")) and len(models) >= RANKED:
            both = [[float(np.mean(rows[model])) for model in models] for rows in (own, values)]
            if any(len(set(numbers)) == 1 for numbers in both):
                lines.append(f"{column}: by `{layer}` or by `{MAIN[0]}` all {len(models)} models are alike, so that there is no ranking")
            else:
                tau = kendalltau(*both).statistic
                lines.append(f"{column}: `{MAIN[0]}` and `{layer}` rank {len(models)} models, Kendall's tau {tau:+.2f}")
    return lines


def superb_section(comparisons: Sequence[Comparison]) -> Html | None:
    """Draw what each layer counts in each task, of each model with several layers; nothing where no task of SUPERB was measured."""
    results = [line.result for comparison in comparisons for line in comparison.lines if comparison.kind.measure in SHORT]
    if not results:
        return None
    head, *rows = zip(*table(results), strict=True)  # a row for each task: a page is higher than wide
    pictures = [_picture(*of, tasks, f"layers-{number}") for number, (of, tasks) in enumerate(_shares(results).items())]
    text = (
        "Ten tasks, each with a small head on the frozen model. The score is 0 for log-mel and 1000 for what is the best of this table in "
        "everything; intervals are over utterances, or over speakers where there are five."
    )
    of_layers = (
        "What each layer counts in each task: its learnt weight times the root mean square of its features, for layers differ in size, "
        "as shares of all."
    )
    lines = [tag("li", line) for line in agreement(results)]
    alike = [tag("details", tag("summary", "Do other heads rank the models alike?"), tag("ul", *lines))] if lines else []
    drawn = [tag("p", of_layers, class_="caption"), tag("div", *pictures, class_="panels")] if pictures else []
    return join(
        [
            tag("p", text),
            tag("div", markup.table(["", *head[1:]], [row(*cells) for cells in rows], class_="results wide"), class_="scroll"),
            *alike,
            *drawn,
        ]
    )


def _shares(results: Sequence[Result]) -> dict[tuple[str, tuple[str, ...]], dict[str, NDArray[np.float64]]]:
    """Read off what each layer counts: model and its layers, where they are several -> task -> shares (L,), a mean over folds."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[NDArray[np.float64]]]] = {}
    labels = _labels(results)
    for one in results:
        details: Mapping[str, Any] = one.details
        if one.layer == MAIN[0] and one.headline and len(details.get("weights", ())) > 1:
            counted = np.asarray(details["weights"]) * np.asarray(details["rms"])
            tasks = found.setdefault((one.model, tuple(details["layers"])), {})
            tasks.setdefault(labels[Edition.of(one)], []).append(counted / counted.sum())
    return {of: {task: np.mean(several, 0) for task, several in tasks.items()} for of, tasks in found.items()}


def _picture(model: str, layers: Sequence[str], shares: Mapping[str, NDArray[np.float64]], name: str) -> Html:
    values = np.stack(list(shares.values()))

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0.0)
        axes.set_yticks(range(len(values)), labels=list(shares))
        axes.set_xticks(range(len(layers)), labels=layers)
        axes.grid(visible=False)
        axes.set(title=model, xlabel="layer")
        figure.colorbar(image, label="share")

    return draw(name, f"What layers of {model} count in each task", (4.6, 1.2 + 0.28 * len(values)), paint)


def _cells(results: Sequence[Result]) -> dict[str, dict[str, Cell]]:
    """Model -> column -> number, tasks in their order; folds of a task are one."""
    folds: dict[str, dict[str, list[Result]]] = {}
    labels = _labels(results)
    for one in results:
        if one.headline and one.layer in MAIN and one.split == "test" and one.measure in SHORT:
            folds.setdefault(one.model, {}).setdefault(f"{labels[Edition.of(one)]} {one.metric}", []).append(one)
    return {model: {column: Cell.of(some) for column, some in columns.items()} for model, columns in folds.items()}


def _task(column: str) -> str:
    """Find the column of the published table: `SF slot type F1` -> `SF F1`."""
    short, _, metric = column.partition(" ")
    return f"SF {'F1' if 'F1' in metric else 'CER'}" if short == "SF" else short
