"""Train a model on the audio of a manifest, or go on with a run that exists.

Example:
    foresay pretrain acpc --corpus corpus/train.jsonl --valid corpus/valid.jsonl --run runs/acpc --set data.batch=8
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foresay.errors import UserError
from foresay.training.recipe import read_recipe
from foresay.workflows.pretrain import pretrain, rehearse


@dataclass(frozen=True)
class Options:
    """What to train, on what, into which folder."""

    recipe: tyro.conf.Positional[str]
    """A built-in recipe (`foresay recipes` lists them) or a TOML file."""
    corpus: Path | None = None
    """Manifest of the audio to learn from."""
    run: Path | None = None
    """Folder of the run; a run that exists goes on."""
    valid: Path | None = None
    """Manifest of held-out audio."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="SECTION.KEY=VALUE")] = field(default=())
    """Override a setting of the recipe; may be given several times."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    show: bool = False
    """Print the resolved recipe and stop."""
    dry_run: bool = False
    """Do a few updates, keep nothing, and say what the run will take."""


def run(arguments: list[str]) -> int:
    """Train."""
    options = tyro.cli(Options, prog="foresay pretrain", args=arguments, description=__doc__)
    if options.show:
        print(read_recipe(options.recipe, options.set).toml(), end="")
        return 0
    corpus, folder = _needed(options)
    if options.dry_run:
        found = rehearse(options.recipe, corpus, folder, overrides=options.set, device=options.device)
        print(f"parameters          {found.parameters:,}")
        print(f"updates             {found.updates:,} ({found.epochs:.1f} times through the corpus)")
        print(f"audio heard         {found.audio_hours:.1f} h")
        print(f"seconds an update   {found.seconds_per_update:.2f}")
        print(f"peak memory         {found.memory_gib:.1f} GiB")
        print(f"time the run takes  {found.hours:.2f} h, validation and saving not counted")
        return 0
    progress = pretrain(options.recipe, corpus, folder, valid=options.valid, overrides=options.set, device=options.device)
    skipped = f", {progress.skipped} skipped" if progress.skipped else ""
    print(f"{folder}: {progress.step} updates done{skipped}. The model is in {folder / 'model'}.")
    return 0


def _needed(options: Options) -> tuple[Path, Path]:
    if options.corpus is None or options.run is None:
        msg = "--corpus MANIFEST and --run DIR are needed to train (only --show does without)"
        raise UserError(msg)
    return options.corpus, options.run
