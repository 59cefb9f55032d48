"""How numbers are written for people."""

import math
from typing import Any

from foresay.results import FEWEST, Drawn, Result

MINUS, SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"

PERCENT = "%"
GAIN = "gain over untrained"
"""What the name of a metric begins with that is a difference to the untrained copy: it stands beside the number it belongs to."""


def gains(metric: str) -> tuple[str, str]:
    """Return what the gain in a metric is called, where it is the measure's only one, and where there are several.

    >>> gains("accuracy_audio")
    ('gain over untrained', 'gain over untrained in accuracy_audio')
    """
    return GAIN, f"{GAIN} in {metric}"


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


def amount(value: float, *, unit: str, signed: bool = False) -> str:
    """Write a value, shares (of the unit `%`) times 100 with one decimal, and without the unit.

    >>> amount(0.6321, unit="%"), amount(0.0412, unit="%", signed=True), amount(1234.5678, unit=""), amount(0.76, unit="")
    ('63.2', '+4.1', '1,235', '0.7600')
    """
    if not math.isfinite(value):
        return "not finite"
    text = f"{100 * value:.1f}" if unit == PERCENT else _figures(value)
    text = text.replace("-", MINUS)
    return f"+{text}" if signed and not text.startswith(MINUS) else text


def _figures(value: float) -> str:
    """Write four figures, zeros too, so that numbers in a column end alike."""
    return number(value) if value == 0 or abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")  # noqa: PLR2004 - four figures


def heading(metric: str, unit: str) -> str:
    """Write a metric and its unit.

    >>> heading("accuracy", "%"), heading("NMI", "")
    ('accuracy (%)', 'NMI')
    """
    return f"{metric} ({unit})" if unit else metric


def spread(result: Result) -> str:
    """Write the interval of a number, or why it has none; nothing where it has none by nature."""
    if result.low is not None and result.high is not None:
        low, high = (amount(end, unit=result.unit) for end in (result.low, result.high))
        return f"{low} to {high}"
    return f"no interval: {too_few(result.drawn)}" if result.drawn else ""


def too_few(drawn: Drawn) -> str:
    """Say why no interval could be had of what was drawn.

    >>> too_few(Drawn("speakers", 2, "")), too_few(Drawn("utterances", 6, ""))
    ('2 speakers', 'of 6 utterances too few counted')
    """
    few = f"{drawn.count:,} {drawn.what.removesuffix('s') if drawn.count == 1 else drawn.what}"
    return few if drawn.count < FEWEST else f"of {few} too few counted"


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
