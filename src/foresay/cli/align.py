"""Find a text in a recording by one or several recognizers: times of its words, and a page with pictures.

Example:
    foresay align runs/ctc runs/attention interview.wav --text "so it began" --out alignment.html
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foresay.cli._table import print_table
from foresay.trust import trusting
from foresay.workflows.align_recording import align_recording


@dataclass(frozen=True)
class Options:
    """What is found by what, and where the page goes."""

    names: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RECOGNIZER… RECORDING")]
    """Runs, steps of them, or model folders; and last an audio file or a manifest."""
    item: str | None = None
    """Of a manifest, by its id; default: the first."""
    text: str | None = None
    """What is said; default: that of the manifest or, if there is none, what the first recognizer writes."""
    out: Path = Path("alignment.html")
    """The page."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> None:
    """Align, print the times, and say where the page is."""
    options = tyro.cli(Options, prog="foresay align", args=arguments, description=__doc__)
    with trusting(options.trust):
        *models, recording = options.names or ("",)
        done = align_recording(models, recording, options.text, options.out, item=options.item, device=options.device)
    tables: dict[tuple[str, ...], dict[str, list[str]]] = {}  # recognizers of phones and of words have one each
    for name, found in done.words.items():
        times = [f"{begin:.2f} to {end:.2f}" for _, begin, end in found]
        tables.setdefault(tuple(word for word, _, _ in found), {})[name] = times
    for said, columns in tables.items():
        print_table([["seconds", *columns], *map(list, zip(said, *columns.values(), strict=True))])
    for name, why in done.left.items():
        print(f"{name}: {why}")
    print(f"\n{done.page}: with pictures")
