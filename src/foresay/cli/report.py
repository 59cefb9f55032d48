"""Draw one or several runs as one HTML page: what was learned, the features of an utterance, curves, settings.

Example:
    foresay report runs/demo-cpc runs/demo-acpc --out comparison.html
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.workflows.report import report


@dataclass(frozen=True)
class Options:
    """What to draw, and where to."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs."""
    out: Path | None = None
    """The page; default: report.html in the run, or in the folder that holds all of several runs."""


def run(arguments: list[str]) -> None:
    """Write the page and say where it is."""
    options = tyro.cli(Options, prog="foresay report", args=arguments, description=__doc__)
    page = report(options.runs, options.out)
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
