"""Aligned CPC (arXiv:2104.11946): Tables 1 and 2, with our numbers beside the published ones.

As in the authors' scripts, CPC is the alignment with K = M = 12: all cells share all code but K and M.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from foresay.errors import UserError
from foresay.reports.wording import amount
from foresay.results import Result, read_lines, read_results
from foresay.workflows.compare import compare
from foresay.workflows.evaluate import RESULTS


class Accuracy(NamedTuple):
    """Of the linear probe, on latents z and contexts c, validation."""

    z: float
    c: float


@dataclass(frozen=True)
class Cell:
    """A line of Table 2."""

    name: str
    predictions: int
    """K."""
    matched: int
    """M."""
    published: Accuracy
    milliseconds: float
    """Published step time, per example (the authors' code prints it so)."""


CPC = Cell("cpc", 12, 12, Accuracy(0.512, 0.675), 2.6)
CELLS = (
    CPC,
    Cell("acpc-k10", 10, 12, Accuracy(0.513, 0.684), 2.4),
    Cell("acpc-k8", 8, 12, Accuracy(0.519, 0.686), 2.1),
    Cell("acpc-k6", 6, 12, Accuracy(0.521, 0.688), 1.8),
    Cell("acpc-k4", 4, 12, Accuracy(0.519, 0.687), 1.5),
    Cell("acpc-k10-m16", 10, 16, Accuracy(0.519, 0.688), 2.4),
    Cell("acpc-k12-m20", 12, 20, Accuracy(0.519, 0.678), 2.6),
)
ABX_PUBLISHED = {
    ("cpc", "clean"): (0.0668, 0.0839),
    ("cpc", "other"): (0.0903, 0.1387),
    ("acpc-k8", "clean"): (0.0537, 0.0709),
    ("acpc-k8", "other"): (0.0746, 0.1260),
}
"""Table 1: error within and across speakers, ZeroSpeech 2021 dev, 200 epochs."""


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    base: str
    """The recipe of every cell, but for K and M."""
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    embedded: bool = False
    """The corpus is made if none is given."""


EVERYTHING = ("abx:phone", "similarity", "clusters", "segmentation:20ms")
SCALES = {
    "demo": Scale("demo-acpc", CELLS, (0,), ("probe:converged", *EVERYTHING), embedded=True),
    "small": Scale(
        "acpc",
        tuple(cell for cell in CELLS if cell.name in {"cpc", "acpc-k8"}),
        (0, 1, 2),
        ("probe:converged", *EVERYTHING),
        ("trainer.epochs=20", "trainer.precision=bf16"),
    ),
    "paper": Scale("acpc", CELLS, (0,), ("probe:paper", "probe:paper-carried", *EVERYTHING), ("trainer.precision=bf16",)),
}


def overrides(cell: Cell, scale: Scale, seed: int) -> list[str]:
    """What makes a cell of the base recipe."""
    return [*scale.overrides, f"model.predictions={cell.predictions}", f"model.matched={cell.matched}", f"trainer.seed={seed}"]


def folder(cell: Cell, seed: int) -> str:
    """Name of a cell's run."""
    return f"{cell.name}-seed{seed}"


def tables(runs: Path, scale: Scale) -> str:
    """Write the tables in Markdown, from what stands in the runs' folders."""
    folders = {cell: [runs / folder(cell, seed) for seed in scale.seeds] for cell in scale.cells}
    parts = [_table_2(folders, scale), _table_1(folders)]
    return "\n\n".join(parts) + "\n"


def _table_2(folders: dict[Cell, list[Path]], scale: Scale) -> str:
    protocol = scale.measures[0]
    lines = [
        f"## Table 2: frame-wise phone accuracy (%), {protocol}, {len(scale.seeds)} seed{'s' if len(scale.seeds) > 1 else ''}",
        "",
        "| | K | M | ms an example (published) | z (published) | c (published) | z, difference to CPC | c, difference to CPC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell, runs in folders.items():
        accuracies = {layer: _mean(_rows(runs, protocol, "accuracy", layer)) for layer in ("z", "c")}
        differences = [_difference(folders[CPC], runs, protocol, layer) if cell is not CPC else "" for layer in ("z", "c")]
        published = [amount(value, "accuracy") for value in cell.published]
        lines.append(
            f"| {'CPC' if cell is CPC else 'ACPC'} | {cell.predictions} | {cell.matched} "
            f"| {_milliseconds(runs):.1f} ({cell.milliseconds}) "
            f"| {accuracies['z']} ({published[0]}) | {accuracies['c']} ({published[1]}) | {differences[0]} | {differences[1]} |"
        )
    lines += [
        "",
        "Differences with paired 95 % intervals; where 0 lies within, nothing is ranked. Published: 50 epochs of 80 hours, validation.",
    ]
    return "\n".join(lines)


def _table_1(folders: dict[Cell, list[Path]]) -> str:
    lines = ["## Table 1: ABX error (%), layer c", "", "| | speakers | ours | published clean | published other |", "|---|---|---|---|---|"]
    for cell, runs in folders.items():
        for place, speakers in enumerate(("within", "across")):
            rows = [row for row in _rows(runs, "abx", "", "c") if speakers in row.metric]
            if not rows:
                continue
            published = [ABX_PUBLISHED.get((cell.name, part)) for part in ("clean", "other")]
            said = [amount(pair[place], "error") if pair else "" for pair in published]
            lines.append(f"| {cell.name} | {speakers} | {_mean(rows)} | {said[0]} | {said[1]} |")
    lines += ["", "Published: 200 epochs, triphones of ZeroSpeech 2021 dev; ours: the protocol named in results.jsonl."]
    return "\n".join(lines)


def _rows(runs: Sequence[Path], measure: str, metric: str, layer: str) -> list[Result]:
    """Test rows of the runs themselves, the last of each."""
    name, _, protocol = measure.partition(":")
    rows = []
    for run in runs:
        own = [row for row in read_results(run / RESULTS) if row.model.endswith(run.name) and row.split != "train" and row.layer == layer]
        found = [row for row in own if row.measure == name and protocol in {row.protocol, ""} and metric in {row.metric, ""}]
        rows += list({row.metric: row for row in found}.values())
    return rows


def _mean(rows: Sequence[Result]) -> str:
    """The mean over seeds; of one seed with its interval, of several with the spread of the seeds."""
    if not rows:
        return ""
    metric, values = rows[0].metric, [row.value for row in rows]
    if len(rows) > 1:
        return f"{amount(statistics.mean(values), metric)} ± {amount(statistics.stdev(values), metric)}"
    low, high = rows[0].low, rows[0].high
    interval = "" if low is None or high is None else f" [{amount(low, metric)}, {amount(high, metric)}]"
    return amount(values[0], metric) + interval


def _difference(cpc: list[Path], runs: list[Path], protocol: str, layer: str) -> str:
    try:
        found = compare(cpc, runs)
    except UserError:
        return ""
    name = protocol.partition(":")
    (one,) = [d for d in found if (d.what.measure, d.what.protocol, d.what.metric, d.what.layer) == (name[0], name[2], "accuracy", layer)]
    if one.interval is None:
        return amount(one.value, "accuracy", signed=True)
    low, high = (amount(end, "accuracy", signed=True) for end in one.interval)
    return f"{amount(one.value, 'accuracy', signed=True)} [{low}, {high}]"


def _milliseconds(runs: Sequence[Path]) -> float:
    """Median time of training on one window of 1.28 s."""
    rates = [line["audio_rate"] for run in runs for line in read_lines(run / "metrics.jsonl") if line.get("kind") == "train"]
    return 1000 * 1.28 / statistics.median(rates)
