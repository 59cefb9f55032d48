"""Recognizers from few labels: encoders by minutes of transcripts by language models.

Tables 9 and 10 of wav2vec 2.0 (arXiv:2006.11477) are made so.

    train.jsonl --> 1, 3, 10 minutes of it, each part of the next --> foresay finetune, on each encoder          (a recognizer each)
    texts ------> foresay lm train (n-gram), foresay train transformer-lm (words)
    valid.jsonl --> foresay lm tune: the weights of both, for each recognizer
    test.jsonl ---> foresay evaluate: wer:greedy, wer:ngram, wer:transformer

Everything is a command that one could give oneself; what has been done is not done again.
"""

import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresay.results import Result
from foresay.training.recipe import read_recipe
from foresay.workflows.experiment import CER, WER, Command, Stage, difference, do, labelled, letters, overriding, rate, rates

SEARCHES = ("greedy", "ngram", "transformer")
"""Protocols of `wer`."""
COLUMNS = {("greedy", CER): "CER", ("greedy", WER): "WER", ("ngram", WER): "WER, n-gram", ("transformer", WER): "WER, + Transformer"}
"""What is shown of each recognizer, in %."""


@dataclass(frozen=True)
class EncoderChoice:
    """What recognizers are built on."""

    name: str
    """In the table and in the names of runs."""
    model: str
    """A MODEL, or untrained:MODEL."""
    overrides: tuple[str, ...] = ()
    """Of the recognizer's recipe."""


@dataclass(frozen=True)
class FewLabels:
    """One table."""

    corpus: Path
    """Folder with train.jsonl, valid.jsonl and those of `tests`; and train-10min.jsonl, … where they are given."""
    parent: Path
    """Folder of all that is made."""
    encoders: tuple[EncoderChoice, ...]
    """The pre-trained one first, to which the others are compared."""
    minutes: tuple[float, ...]
    """Of transcribed speech."""
    texts: Path
    """What the language models learn from: a text file, or a manifest."""
    recipes: tuple[str, ...]
    """Of the recognizers, for each number of minutes."""
    overrides: tuple[str, ...] = ()
    """For all recognizers."""
    tests: tuple[str, ...] = ("test",)
    """Manifests of the corpus that are tested on, without `.jsonl`."""
    order: int = 3
    """Of the n-gram."""
    transformer: tuple[str, ...] = ()
    """Overrides of `transformer-lm-tiny`, which predicts words."""

    @property
    def ngram(self) -> Path:
        """The folder of the n-gram."""
        return self.parent / "ngram"

    @property
    def second(self) -> Path:
        """The run of the Transformer."""
        return self.parent / "transformer-lm"

    @property
    def normalization(self) -> str:
        """The profile of the recognizers' texts, which is that of the language models too."""
        profile: str = read_recipe(self.recipes[0], self.overrides).model_settings.normalization
        return profile

    @functools.cached_property
    def symbols(self) -> tuple[str, ...]:
        """The letters of all training transcripts: in a minute of them not every letter comes."""
        return letters(self.corpus / "train.jsonl", self.normalization)

    def run(self, encoder: EncoderChoice, minutes: float) -> Path:
        """The folder of a recognizer."""
        return self.parent / f"{encoder.name}-{minutes:g}min"

    @property
    def runs(self) -> dict[tuple[str, float], Path]:
        """The folders of all recognizers, by encoder and minutes."""
        return {(encoder.name, minutes): self.run(encoder, minutes) for minutes in self.minutes for encoder in self.encoders}

    def do(self, before: Sequence[Command] = ()) -> None:
        """Do what is left of it. `before`: pre-trainings, which are done beside the language models.

        Raises:
            UserError: a command fails, or the corpus has too little speech.
        """
        for minutes in self.minutes:
            self.labelled(minutes)
        do(self.stages(before))

    def labelled(self, minutes: float) -> Path:
        """Return the manifest of so many minutes, part of that of more."""
        return labelled(self.corpus, self.parent, minutes)

    def stages(self, before: Sequence[Command] = ()) -> list[Stage]:
        """List all commands, in the order in which they need each other."""
        trained = list(itertools.product(self.encoders, self.minutes))
        return [
            Stage("pre-training, and language models", (*before, *self._language_models())),
            Stage(f"fine-tuning {len(trained)} recognizers", tuple(itertools.starmap(self.finetune, trained))),
            Stage("tuning the weights of the language models", tuple(c for one in trained for c in self._tune(self.run(*one)))),
            Stage("measuring", tuple(self.evaluate(*one, test) for one in trained for test in self.tests)),
        ]

    def _language_models(self) -> Iterator[Command]:
        texts, tests = str(self.texts), [str(self.corpus / f"{test}.jsonl") for test in self.tests]
        learn = ("lm", "train", texts, "--order", str(self.order), "--normalization", self.normalization, "--exclude", *tests)
        yield Command((*learn, "--out", str(self.ngram)), self.ngram)
        overrides = ("model.unit=words", f"model.normalization={self.normalization}", *self.transformer)
        yield Command(("train", "transformer-lm-tiny", "--corpus", texts, "--run", str(self.second), *overriding(overrides)))

    def finetune(self, encoder: EncoderChoice, minutes: float) -> Command:
        """Train a recognizer."""
        data = ("--corpus", str(self.labelled(minutes)), "--valid", str(self.corpus / "valid.jsonl"))
        overrides = overriding((*self.overrides, *encoder.overrides, f"model.symbols={json.dumps(self.symbols, ensure_ascii=False)}"))
        run = str(self.run(encoder, minutes))
        return Command(("finetune", self.recipes[self.minutes.index(minutes)], "--encoder", encoder.model, *data, "--run", run, *overrides))

    def _tune(self, run: Path) -> Iterator[Command]:
        common = ("lm", "tune", str(run), "--corpus", str(self.corpus / "valid.jsonl"), "--lm", str(self.ngram))
        yield Command((*common, "--out", str(run / "ngram.toml")), run / "ngram.toml")
        second = run / "transformer.toml"
        yield Command((*common, "--rescore", str(self.second), "--out", str(second)), second)

    def evaluate(self, encoder: EncoderChoice, minutes: float, test: str, searches: Sequence[str] = SEARCHES) -> Command:
        """Measure a recognizer."""
        run = self.run(encoder, minutes)
        files = [str(run / f"{name}.toml") for name in searches if name != "greedy"]
        corpora = ("--corpus", str(self.corpus / f"{test}.jsonl"), "--train-corpus", str(self.labelled(minutes)))
        measures = ",".join(f"wer:{name}" for name in searches)
        return Command(("evaluate", str(run), *corpora, "--measures", measures, *(("--search", *files) if files else ())))

    def results(self, test: str) -> dict[tuple[str, float], dict[tuple[str, str], Result]]:
        """Read the error rates on a test: by encoder and minutes, then by search and metric."""
        return {key: rates(run, test) for key, run in self.runs.items()}

    def table(self, test: str) -> list[list[str]]:
        """Write the error rates, and what pre-training and language models change: rows of cells, the head first."""
        found, (first, *others) = self.results(test), self.encoders
        rows = [["minutes", "encoder", *COLUMNS.values()]]
        for (name, minutes), own in found.items():
            rows.append([f"{minutes:g}", name, *(rate(own[column]) for column in COLUMNS)])
        for minutes, other in itertools.product(self.minutes, others):
            ours, theirs = found[first.name, minutes], found[other.name, minutes]
            rows.append([f"{minutes:g}", f"{first.name} - {other.name}", *(difference(theirs[one], ours[one]) for one in COLUMNS)])
        for minutes in self.minutes:
            own = found[first.name, minutes]
            changes = (difference(own["greedy", WER], own[name, WER]) for name in SEARCHES[1:])
            rows.append([f"{minutes:g}", f"{first.name}, by language models", "", "", *changes])
        return rows
