"""Continuations at several temperatures: the law that a language model of speech stutters, speaks, and babbles, as a picture (GSLM)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from foresay.reports.canvas import DASHES, INK, SMALL, draw, series_color
from foresay.reports.comparisons import Comparison
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.wording import amount
from foresay.results import Result

MEASURE, ALL, RECORDED = "continuation", "all temperatures", "recorded"
AREA, TRANSCRIPTS = "AUC", " of transcripts"
COLUMNS = ("perplexity", "self-BLEU", "auto-BLEU", "VERT")
TEXT = (
    "A language model of units continues beginnings of recordings. At a low temperature it stutters: samples repeat themselves and one "
    "another (high auto-BLEU and self-BLEU, whose geometric mean is VERT), and each step is likely (low perplexity by a trigram). At a "
    "high one it babbles. Between them lies what is worth listening to, beside how the recordings themselves go on. Of two models the "
    "better one's curve lies below and to the left."
)


class Curve(NamedTuple):
    """A model's samples."""

    model: str
    of: str
    """Nothing, or ` of transcripts`."""
    temperatures: Sequence[float]
    points: Sequence[tuple[float, float]]
    """VERT and perplexity at each temperature."""
    recorded: tuple[float, float]


def continuations_section(comparisons: Sequence[Comparison]) -> Html | None:
    """Draw perplexity over VERT of each model, and write down what was measured at each temperature; nothing where nobody sampled."""
    results = [line.result for comparison in comparisons for line in comparison.lines if comparison.kind.measure == MEASURE]
    found = [_curve(one) for one in results if one.layer == ALL and one.metric.removesuffix(TRANSCRIPTS) == AREA]
    if not found:
        return None
    parts = [tag("p", TEXT)]
    for of in dict.fromkeys(curve.of for curve in found):
        name = f"continuations{'-of-transcripts' if of else ''}"
        parts.append(_picture([curve for curve in found if curve.of == of], name))
        parts.append(_table([one for one in results if one.layer != ALL], of))
    return join(parts)


def _curve(result: Result) -> Curve:
    details: Mapping[str, Any] = result.details
    points = [(float(vert), float(perplexity)) for vert, perplexity in details["curve"]]
    vert, perplexity = details[RECORDED]
    of = TRANSCRIPTS if result.metric.endswith(TRANSCRIPTS) else ""
    return Curve(result.model, of, details["temperatures"], points, (float(vert), float(perplexity)))


def _picture(curves: Sequence[Curve], name: str) -> Html:
    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        for place, curve in enumerate(curves):
            verts, perplexities = zip(*curve.points, strict=True)
            color, dashes = series_color(place), DASHES[place % len(DASHES)]
            axes.plot([100 * vert for vert in verts], perplexities, color=color, linestyle=dashes, marker="o", label=curve.model)
            for temperature, vert, perplexity in zip(curve.temperatures, verts, perplexities, strict=True):
                axes.annotate(f"{temperature:g}", (100 * vert, perplexity), (4, 4), textcoords="offset points", fontsize=SMALL, color=color)
            axes.plot(100 * curve.recorded[0], curve.recorded[1], color=INK, marker="*", markersize=11, linestyle="none")
        axes.annotate("recorded", (100 * curves[0].recorded[0], curves[0].recorded[1]), (8, -4), textcoords="offset points", fontsize=SMALL)
        axes.text(0.02, 0.97, "babbles", transform=axes.transAxes, ha="left", va="top", fontsize=SMALL)
        axes.text(0.98, 0.03, "stutters", transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALL)
        axes.set(yscale="log", xlabel="VERT, %", ylabel=f"perplexity{curves[0].of}")
        axes.legend()

    what = f"Perplexity{curves[0].of} over VERT at temperatures, of {', '.join(curve.model for curve in curves)}"
    return draw(name, what, (7.0, 4.2), paint)


def _table(results: Sequence[Result], of: str) -> Html:
    """Write a row for each model and temperature."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for one in results:
        if one.metric.removesuffix(of) in COLUMNS and one.metric.endswith(of) and (of or TRANSCRIPTS not in one.metric):
            value = amount(one.value, unit=one.unit)
            if one.low is not None and one.high is not None:
                value += f" [{amount(one.low, unit=one.unit)}, {amount(one.high, unit=one.unit)}]"
            cells.setdefault((one.model, one.layer), {})[one.metric.removesuffix(of)] = value
    head = ["model", "samples", *(f"{column}{of}{'' if column == COLUMNS[0] else ', %'}" for column in COLUMNS)]
    rows = [row(model, layer, *(found.get(column, "") for column in COLUMNS)) for (model, layer), found in cells.items()]
    return tag("div", table(head, rows, class_="results wide"), class_="scroll")
