"""Experiments that are commands which one could give oneself, and the cells of the tables of what they measured.

Commands that do not need each other run side by side; what has been done is not done again.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.errors import UserError
from foresay.progress import stage
from foresay.reports.wording import amount
from foresay.results import RESULTS, Result, middle, read_results, with_draws
from foresay.text.normalization import Normalizer
from foresay.text.vocabulary import Vocabulary
from foresay.workflows.side_by_side import side_by_side

NO_LAYER = "none"
"""Of a control that uses no model."""
WER, CER = "word error rate", "character error rate"


@dataclass(frozen=True)
class Command:
    """Words after `foresay`."""

    words: tuple[str, ...]
    makes: Path | None = None
    """Where this is there, it was done; None: the command itself knows."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.makes is not None and self.makes.exists()


@dataclass(frozen=True)
class Stage:
    """Commands that do not need each other."""

    name: str
    commands: tuple[Command, ...]


def do(stages: Sequence[Stage]) -> None:
    """Do what is left of stages that need each other in this order.

    Raises:
        UserError: a command fails.
    """
    for one in stages:
        left = [command.words for command in one.commands if not command.is_done]
        if left:
            with stage(one.name):
                side_by_side(left)


def labelled(corpus: Path, parent: Path, minutes: float) -> Path:
    """Return the manifest of so many minutes that a corpus has, or write one into `parent`, speakers in turn, part of that of more minutes.

    Raises:
        UserError: there is less.
    """
    name = f"train-{minutes:g}min.jsonl"
    if (corpus / name).exists():
        return corpus / name
    path = parent / name
    if not path.exists():
        items = list(_taken(Manifest.open(corpus / "train.jsonl"), 60 * minutes))
        if sum(item.duration for item in items) < 60 * minutes:
            msg = f"{corpus / 'train.jsonl'} has less than {minutes:g} minutes of transcribed speech: ask for fewer"
            raise UserError(msg)
        write_manifest(path, items)
    return path


def transcribed_minutes(corpus: Path) -> int:
    """Return the whole minutes of transcribed speech that a corpus has to train on."""
    return int(sum(item.duration for item in Manifest.open(corpus / "train.jsonl") if item.text) // 60)


def letters(manifest: Path, profile: str) -> tuple[str, ...]:
    """Return the vocabulary of letters of all transcripts, normalized: in a minute of them not every letter comes."""
    normalize = Normalizer(profile)
    return Vocabulary.of_texts("letters", (normalize(item.text) for item in Manifest.open(manifest) if item.text)).symbols


def overriding(overrides: Sequence[str]) -> list[str]:
    """Write overrides as words of a command."""
    return [word for override in overrides for word in ("--set", override)]


def rates(run: Path, test: str, measures: Sequence[str] = ("wer",)) -> dict[tuple[str, str], Result]:
    """Read what was measured of a recognizer on a test, with its draws, by protocol and metric; what stands beside it is left out."""
    rows = [row for row in read_results(run / RESULTS) if row.measure in measures and row.layer != NO_LAYER]
    return {(row.protocol, row.metric): row for row in with_draws(run, rows) if Path(row.corpus).name == test}


def rate(row: Result) -> str:
    """Write a rate with its interval."""
    value = amount(row.value, unit=row.unit)
    if row.low is None or row.high is None:
        return value
    return f"{value} [{amount(row.low, unit=row.unit)}, {amount(row.high, unit=row.unit)}]"


def difference(a: Result, b: Result) -> str:
    """Write B minus A, with the interval of what was drawn alike for both."""
    value = amount(b.value - a.value, unit=a.unit, signed=True)
    if a.draws is None or b.draws is None or a.drawn != b.drawn or not len(a.draws.values):
        return value
    low, high = (amount(end, unit=a.unit, signed=True) for end in middle(b.draws.values - a.draws.values))
    return f"{value} [{low}, {high}]"


def _taken(manifest: Manifest, seconds: float) -> Iterator[Item]:
    """Take transcribed items, of each speaker in turn, until they last so long."""
    queues: dict[str, list[Item]] = defaultdict(list)
    for item in manifest:
        if item.text:
            queues[item.speaker or ""].append(item)
    turns = (item for turn in itertools.zip_longest(*queues.values()) for item in turn if item is not None)
    for item in turns:
        if seconds <= 0:
            return
        yield item
        seconds -= item.duration
