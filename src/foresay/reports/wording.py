"""How numbers are written for people."""

import math
from collections.abc import Collection
from typing import Any

MINUS, SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"

GAIN = "gain over untrained"
"""What the name of a metric begins with that is a difference to the untrained copy: it stands beside the number it belongs to."""

SHARES = ("accuracy", "error", "purity", "precision", "recall", "f1", "share", "coverage", "r@")
"""Metrics whose name holds one of these words lie between 0 and 1 and are written in percent."""

LOWER_IS_BETTER = ("error", "loss", "perplexity", "distance", "deletions", "insertions", "substitutions")

NEITHER_IS_BETTER = (
    "inertia",
    "cluster purity",
    "effective clusters",
    "clusters used",
    "cosine",
    "alignment",
    "uniformity",
    "anisotropy",
    "rank",
    "change",
    "disturbance",
    "artefact",
    "trust",
    "over-segmentation",
    "run length",
    "bits",
    "gap",
)
"""Metrics that describe and do not rate: a model whose features hardly differ from each other has the best of many of them."""

HEADLINES = {
    "abx": ("error within speakers", "error across speakers"),
    "item_probe": ("accuracy_audio", "accuracy_image"),
    "retrieval": ("R@1_audio_to_image", "R@1_image_to_audio"),
}
"""What is said first of a measure, where that is not the first of its metrics that rates."""


def is_share(metric: str) -> bool:
    """Whether a metric is a share, written in percent."""
    return any(word in metric.lower() for word in SHARES)


def rates(metric: str) -> bool:
    """Whether one value of a metric is better than another."""
    return not any(word in metric.lower() for word in NEITHER_IS_BETTER)


def gains(metric: str) -> tuple[str, str]:
    """Return what the gain in a metric is called, where it is the measure's only one, and where there are several.

    >>> gains("accuracy_audio")
    ('gain over untrained', 'gain over untrained in accuracy_audio')
    """
    return GAIN, f"{GAIN} in {metric}"


def lower_is_better(metric: str) -> bool:
    """Whether less of it is better."""
    return any(word in metric.lower() for word in LOWER_IS_BETTER)


def headline(measure: str, metrics: Collection[str]) -> tuple[str, ...]:
    """Choose what is said first of a measure among its metrics, in their order; nothing if none of them rates.

    >>> headline("segmentation", ["R-value", "F1"]), headline("similarity", ["cosine of random frames"])
    (('R-value',), ())
    """
    named = HEADLINES.get(measure) or tuple(metric for metric in metrics if rates(metric))[:1]
    return tuple(metric for metric in named if metric in metrics)


def number(value: float) -> str:
    """Write a number with four figures, thousands apart.

    >>> number(22830), number(0.0002), number(3.14159), number(123456.7)
    ('22,830', '0.0002', '3.142', '123,457')
    """
    if not math.isfinite(value):
        return "not finite"
    if value == int(value) or abs(value) >= 1000:  # noqa: PLR2004 - the fifth figure of a measurement says nothing
        return f"{value:,.0f}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def amount(value: float, metric: str, *, signed: bool = False) -> str:
    """Write a value of a metric, shares times 100 with one decimal and without their unit.

    >>> amount(0.6321, "accuracy"), amount(0.0412, "accuracy", signed=True), amount(1234.5678, "inertia"), amount(0.76, "NMI")
    ('63.2', '+4.1', '1,235', '0.7600')
    """
    if not math.isfinite(value):
        return "not finite"
    text = f"{100 * value:.1f}" if is_share(metric) else _figures(value)
    text = text.replace("-", MINUS)
    return f"+{text}" if signed and not text.startswith(MINUS) else text


def _figures(value: float) -> str:
    """Write four figures, zeros too, so that numbers in a column end alike."""
    return number(value) if value == 0 or abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")  # noqa: PLR2004 - four figures


def unit(metric: str) -> str:
    """Return what follows an amount of a metric: `%` or nothing."""
    return "%" if is_share(metric) else ""


def interval(low: float | None, high: float | None, metric: str) -> str:
    """Write an interval, or nothing where there is none.

    >>> interval(0.612, 0.648, "accuracy")
    '61.2 to 64.8'
    """
    if low is None or high is None:
        return ""
    return f"{amount(low, metric)} to {amount(high, metric)}"


def span(seconds: float) -> str:
    """Write a length of time, with spaces that do not break.

    >>> [span(seconds).replace(SPACE, " ") for seconds in (0.25, 48, 780, 4320, 290_000)]
    ['0.25 s', '48 s', '13 min', '1 h 12 min', '80.6 h']
    """
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2g}{SPACE}s"
    minutes = round(seconds / 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes}{SPACE}min"
    if minutes < 600:  # noqa: PLR2004 - beyond ten hours a minute says nothing
        return f"{minutes // 60}{SPACE}h{SPACE}{minutes % 60}{SPACE}min"
    return f"{seconds / 3600:.1f}{SPACE}h"


def setting(value: Any) -> str:  # noqa: ANN401 - any value of a TOML table
    """Write the value of a setting nearly as in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(setting(v) for v in value) if isinstance(value, list) else str(value)


def plural(count: int, noun: str) -> str:
    """Write a count and its noun.

    >>> plural(1, "update"), plural(1200, "update")
    ('1 update', '1,200 updates')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: list[str]) -> str:
    """Write words as a list in a sentence.

    >>> listed(["z", "c", "mfcc"])
    'z, c and mfcc'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
