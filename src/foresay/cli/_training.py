"""Options and output of the verbs that train, with a dry run; of several processes only the first one prints."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foresay.cli import INTERRUPTED
from foresay.contracts import Estimator
from foresay.errors import UserError
from foresay.training.devices import leave, speaks
from foresay.training.recipe import TOKENIZER, read_recipe
from foresay.trust import trusting
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.self_test import check_learning
from foresay.workflows.train import Verb, check_verb, run_recipe
from foresay.workflows.warm_start import WarmStart

PATIENCE = 5.0
"""Seconds that a process which failed waits before it says so: if the first one failed too, torchrun ends this one meanwhile."""


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
    start: Annotated[str | None, tyro.conf.arg(name="from", metavar="MODEL")] = None
    """Begin with the weights of a run, a model folder, hf:NAME or a .pt file of fairseq, instead of untrained ones."""
    renew: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="MODULE")] = field(default=())
    """With --from: parameters, or modules, that start anew all the same; may be given several times."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="SECTION.KEY=VALUE")] = field(default=())
    """Override a setting of the recipe; may be given several times."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    show: bool = False
    """Print the resolved recipe and stop."""
    dry_run: bool = False
    """Do a few updates, keep nothing, and estimate time and memory of the run."""
    trust: bool = False
    """Run code outside Foresay that the recipe, or a model folder, names or brings along."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that is changed of the recipe."""
        return self.set


@dataclass(frozen=True)
class OnEncoderOptions(Options):
    """What to train on top of which encoder, on what, into which folder."""

    encoder: str | None = None
    """The model that this one is made of, as --set parts.encoder=MODEL says it: a run, a model folder, a baseline, hf:NAME.
    untrained:MODEL is one of the same settings with new weights: the control from scratch."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that is changed of the recipe."""
        return self.set if self.encoder is None else (*self.set, f"parts.encoder={json.dumps(self.encoder)}")


@dataclass(frozen=True)
class TokenOptions(OnEncoderOptions):
    """What to train on which encoder or units, on what, into which folder."""

    units: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """The tokenizer whose units the model learns from and keeps, as --set parts.tokenizer=MODEL says it: a run of `foresay units fit`."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that is changed of the recipe."""
        return super().overrides if self.units is None else (*super().overrides, f"parts.{TOKENIZER}={json.dumps(self.units)}")


@dataclass(frozen=True)
class FineTuningOptions(OnEncoderOptions):
    """What to train on top of which encoder, on what transcribed speech, into which folder."""

    check: bool = False
    """Learn one batch by heart, keep nothing, and say whether that works: what fails here fails on all data."""


def train_as(verb: Verb, arguments: list[str], description: str | None, kind: type[Options] = Options) -> int:
    """Train what the arguments ask for, under the name of a verb."""
    options = tyro.cli(kind, prog=f"foresay {verb}", args=arguments, description=description)
    if options.show:
        with trusting(options.trust):
            recipe = read_recipe(options.recipe, options.overrides)
            check_verb(verb, recipe)
            print(recipe.toml(), end="")
        return 0
    corpus, folder = _needed(options)
    with _one_voice(), trusting(options.trust):
        if isinstance(options, FineTuningOptions) and options.check:
            said = _check(options, corpus, folder)
        else:
            said = _rehearse(verb, options, corpus, folder) if options.dry_run else _train(verb, options, corpus, folder)
    leave()
    if speaks():
        print(said)
    return 0


def _needed(options: Options) -> tuple[Path, Path]:
    if options.corpus is None or options.run is None:
        msg = "--corpus MANIFEST and --run DIR are needed to train (only --show does without)"
        raise UserError(msg)
    return options.corpus, options.run


def _start(options: Options) -> WarmStart | None:
    if options.start is None and options.renew:
        msg = "--renew says what of --from MODEL starts anew, and there is no --from: without it everything does"
        raise UserError(msg)
    return None if options.start is None else WarmStart(options.start, options.renew)


def _train(verb: Verb, options: Options, corpus: Path, folder: Path) -> str:
    progress = run_recipe(
        verb, options.recipe, corpus, folder, valid=options.valid, start=_start(options), overrides=options.overrides, device=options.device
    )
    skipped = f", {progress.skipped} skipped" if progress.skipped else ""
    done = "fitted" if issubclass(read_recipe(options.recipe).kind, Estimator) else f"{progress.step} updates done"
    return f"{folder}: {done}{skipped}. The model is in {folder / 'model'}."


def _rehearse(verb: Verb, options: Options, corpus: Path, folder: Path) -> str:
    found = rehearse(verb, options.recipe, corpus, folder, start=_start(options), overrides=options.overrides, device=options.device)
    return f"""\
parameters          {found.parameters:,}
updates             {found.updates:,} ({found.epochs:.1f} times through the corpus)
audio processed     {found.audio_hours:.1f} h
seconds an update   {found.seconds_per_update:.2f}
peak memory         {found.memory_gib:.1f} GiB
time the run takes  {found.hours:.2f} h, validation and saving not counted"""


def _check(options: Options, corpus: Path, folder: Path) -> str:
    found = check_learning(options.recipe, corpus, folder, start=_start(options), overrides=options.overrides, device=options.device)
    return f"""\
one batch           {found.utterances} utterances, {found.symbols:,} symbols, learnt by heart in {found.updates} updates
loss                {found.losses[0]:.2f} nats a symbol before, {found.losses[1]:.2f} after
plateau of blanks   {found.entropy:.2f}: it costs so much to know how frequent symbols are, and no more
characters wrong    {found.wrong:.1%}"""


@contextlib.contextmanager
def _one_voice() -> Iterator[None]:
    """Let what stops all the processes of torchrun be said once."""
    try:
        yield
    except KeyboardInterrupt:  # it reaches all of them
        if speaks():
            raise
        sys.exit(INTERRUPTED)
    except Exception:
        if not speaks():
            time.sleep(PATIENCE)
        raise
