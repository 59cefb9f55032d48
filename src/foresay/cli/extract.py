"""Write a layer of a model on recordings to files, one .npy each.

Example:
    foresay extract runs/demo-acpc recordings/ features/ --layer c
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.reports.wording import plural
from foresay.trust import trusting
from foresay.workflows.extract import LEFT_OUT, extract

SHOWN = 10
"""Recordings that are named on the terminal, of those left out."""


@dataclass(frozen=True)
class Options:
    """Which model encodes which audio, and where the features are written."""

    model: tyro.conf.Positional[str]
    """A run, RUN@step, a model folder, mfcc or logmel."""
    source: tyro.conf.Positional[Path]
    """An audio file, a folder of them, or a manifest (.jsonl)."""
    dest: tyro.conf.Positional[Path]
    """Folder for the features; given again, what is there already is kept."""
    layer: str
    """A layer of the model, such as z or c."""
    device: str | None = None
    """cpu, cuda, cuda:1, … Default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> int:
    """Say what was written and what could not be read; the exit code is 2 if nothing could."""
    options = tyro.cli(Options, prog="foresay extract", args=arguments, description=__doc__)
    with trusting(options.trust):
        done = extract(options.model, options.source, options.dest, layer=options.layer, device=options.device)
    before = f", {done.there} had been written before" if done.there else ""
    print(f"{plural(done.written, 'recording')} written{before}; see {done.index}")
    for failure in done.failures[:SHOWN]:
        print(f"left out: {failure}")
    if done.failures:
        print(f"{plural(len(done.failures), 'recording')} could not be read: all are listed in {done.index.parent / LEFT_OUT}")
    return 2 if done.failures and not done.written + done.there else 0
