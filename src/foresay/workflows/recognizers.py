"""Recognizers of several kinds on the same transcripts, with language models of the same text, tested on the same recordings: one table.

    train.jsonl --> some minutes of it --> foresay finetune, each system                            (and one on texts of other recordings)
    texts ------> foresay lm train: letters, for what writes letter by letter; words, for what has a lexicon
    valid.jsonl --> foresay lm tune: weights, for each recognizer
    test.jsonl ---> foresay evaluate: wer:greedy, wer:ngram; if they are pronounced, per:espeak; if it has times of words, alignment:words

Everything is a command that one could give oneself; what has been done is not done again.
"""

import functools
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from foresay.contracts import Estimator, FeatureExtractor
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.evaluation.recognition.alignment import ERROR, EVEN
from foresay.loading import load
from foresay.reports.record import read_records
from foresay.reports.wording import span
from foresay.results import RESULTS, Result, read_results
from foresay.training.recipe import read_recipe
from foresay.workflows.experiment import CER, WER, Command, Stage, difference, do, labelled, letters, overriding, rate, rates

COLUMNS = {("greedy", WER): "WER", ("greedy", CER): "CER", ("ngram", WER): "WER, n-gram"}
"""Rates that are shown of each recognizer, in %."""
PRONOUNCED = ("espeak", "phone error rate")
"""And this, if the texts are pronounced."""
BOUNDARIES = ("words", ERROR)
"""And in ms, where it is known when words are spoken."""
ORDERS = {"letters": 6, "words": 3}
"""Of the n-grams."""
BEAM = 10
"""Of what writes letter by letter; of words, the search's own."""


@dataclass(frozen=True)
class RecognizerChoice:
    """A way from speech to text."""

    name: str
    """In the table and in the names of runs."""
    recipe: str
    encoder: str | None = None
    """A MODEL; None: that of the recipe."""
    overrides: tuple[str, ...] = ()
    unit: Literal["letters", "words"] = "letters"
    """What its language model predicts."""
    shuffled: bool = False
    """Whether it learns from the texts of other recordings: of letters, words and language models it knows all, of audio nothing."""


@dataclass(frozen=True)
class Recognizers:
    """One table."""

    corpus: Path
    """Folder with train.jsonl, valid.jsonl and test.jsonl; and train-10min.jsonl, … where they are given."""
    parent: Path
    """Folder of all that is made."""
    systems: tuple[RecognizerChoice, ...]
    """The last one is the control that the others are compared with."""
    minutes: tuple[float, ...]
    """Of transcribed speech."""
    texts: Path
    """What the language models learn from: a text file, or a manifest."""
    pronounced: bool = False
    """Whether eSpeak NG is there to pronounce the texts, which are English: phone error rates."""

    def run(self, system: RecognizerChoice, minutes: float) -> Path:
        """The folder of a recognizer."""
        return self.parent / f"{system.name}-{minutes:g}min"

    @property
    def runs(self) -> dict[tuple[float, str], Path]:
        """The folders of all recognizers, by minutes and system."""
        return {(minutes, system.name): self.run(system, minutes) for minutes in self.minutes for system in self.systems}

    def do(self) -> None:
        """Do what is left of it.

        Raises:
            UserError: a command fails, or the corpus has too little speech.
        """
        do(self.stages())

    def stages(self) -> list[Stage]:
        """List all commands, in the order in which they need each other."""
        trained = list(itertools.product(self.systems, self.minutes))
        return [
            Stage("language models", tuple(map(self._language_model, dict.fromkeys(system.unit for system in self.systems)))),
            Stage(f"training {len(trained)} recognizers", tuple(itertools.starmap(self._train, trained))),
            Stage("tuning the weights of the language models", tuple(itertools.starmap(self._tune, trained))),
            Stage("measuring", tuple(itertools.starmap(self._evaluate, trained))),
        ]

    @functools.cached_property
    def _profile(self) -> str:
        """How texts are normalized, the recognizers' and the language models'."""
        profile: str = read_recipe(self.systems[0].recipe, self.systems[0].overrides).model_settings.normalization
        return profile

    @functools.cached_property
    def _timed(self) -> bool:
        """Whether it is known when the words of the test are spoken."""
        return any(item.words for item in Manifest.open(self.corpus / "test.jsonl"))

    @functools.cached_property
    def _symbols(self) -> str:
        """The setting of the vocabulary."""
        return f"model.symbols={json.dumps(letters(self.corpus / 'train.jsonl', self._profile), ensure_ascii=False)}"

    def _language_model(self, unit: str) -> Command:
        folder = self.parent / f"ngram-{unit}"
        words = ("lm", "train", str(self.texts), "--unit", unit, "--order", str(ORDERS[unit]), "--normalization", self._profile)
        return Command((*words, "--exclude", str(self.corpus / "test.jsonl"), "--out", str(folder)), folder)

    def _labelled(self, system: RecognizerChoice, minutes: float) -> Path:
        path = labelled(self.corpus, self.parent, minutes)
        if not system.shuffled:
            return path
        other = self.parent / f"{path.stem}-shuffled.jsonl"
        if not other.exists():
            items = list(Manifest.open(path))
            write_manifest(other, (replace(item, text=next_one.text) for item, next_one in zip(items, [*items[1:], items[0]], strict=True)))
        return other

    def _train(self, system: RecognizerChoice, minutes: float) -> Command:
        words = ["finetune", system.recipe, "--corpus", str(self._labelled(system, minutes)), "--run", str(self.run(system, minutes))]
        overrides = system.overrides
        if not issubclass(read_recipe(system.recipe).kind, Estimator):  # which is fitted to all that there is, and has its own vocabulary
            words += ["--valid", str(self.corpus / "valid.jsonl")]
            overrides = (*overrides, self._symbols)
        return Command((*words, *(("--encoder", system.encoder) if system.encoder else ()), *overriding(overrides)))

    def _tune(self, system: RecognizerChoice, minutes: float) -> Command:
        run = self.run(system, minutes)
        words = ("lm", "tune", str(run), "--corpus", str(self.corpus / "valid.jsonl"), "--lm", str(self.parent / f"ngram-{system.unit}"))
        beam = ("--beam", str(BEAM)) if system.unit == "letters" else ()
        return Command((*words, *beam, "--out", str(run / "ngram.toml")), run / "ngram.toml")

    def _evaluate(self, system: RecognizerChoice, minutes: float) -> Command:
        run = self.run(system, minutes)
        corpora = ("--corpus", str(self.corpus / "test.jsonl"), "--train-corpus", str(self._labelled(system, minutes)))
        measures = f"wer:greedy,wer:ngram{',per:espeak' if self.pronounced else ''}{',alignment:words' if self._timed else ''}"
        return Command(("evaluate", str(run), *corpora, "--measures", measures, "--search", str(run / "ngram.toml")))

    def results(self) -> dict[tuple[float, str], dict[tuple[str, str], Result]]:
        """Read the error rates: by minutes and system, then by search and metric."""
        return {key: rates(run, "test", ("wer", "per", "alignment")) for key, run in self.runs.items()}

    def table(self) -> list[list[str]]:
        """Write the error rates, what it takes to get them, and differences with the control and between systems: rows, the head first."""
        found, seconds = self.results(), float(Manifest.open(self.corpus / "test.jsonl").durations.sum())
        columns = COLUMNS | ({PRONOUNCED: "PER"} if self.pronounced else {}) | ({BOUNDARIES: "boundaries, ms"} if self._timed else {})
        rows = [["minutes", "recognizer", *columns.values(), "real time", "parameters", "training", "streams"]]
        for (minutes, name), own in found.items():
            real_time = " / ".join(f"{own[search, WER].seconds / seconds:.2f}" for search in ("greedy", "ngram"))
            rows.append([f"{minutes:g}", name, *(rate(own[one]) for one in columns), real_time, *_about(self.runs[minutes, name])])
        if self._timed:
            results = read_results(next(iter(self.runs.values())) / RESULTS)
            even = next(row for row in results if (row.model, row.metric) == (EVEN, ERROR) and Path(row.corpus).name == "test")
            rows.append(["", EVEN, *[""] * (len(columns) - 1), rate(even), "", "", "", ""])
        for minutes in self.minutes:
            *names, control = (system.name for system in self.systems)
            best = min(names, key=lambda name, minutes=minutes: found[minutes, name]["ngram", WER].value)  # type: ignore[misc]
            pairs = [(name, control) for name in names] + [(best, name) for name in names if name != best]
            for ours, theirs in pairs:
                changes = (difference(found[minutes, theirs][one], found[minutes, ours][one]) for one in columns)
                rows.append([f"{minutes:g}", f"{ours} - {theirs}", *changes, "", "", "", ""])
        return rows


def lecture(share: float = 1.0, encoder: str | None = None) -> tuple[RecognizerChoice, ...]:
    """List CTC, attention, a transducer and hidden Markov models, from spectral features or on a frozen encoder, and last the control.

    `share`: of the updates of their recipes, which are as many as take the same audio.
    """

    def choice(name: str, recipe: str, encoder: str | None = encoder, *, shuffled: bool = False) -> RecognizerChoice:
        steps = f"trainer.steps={round(share * (read_recipe(recipe).trainer.steps or 0))}"
        return RecognizerChoice(name, recipe, encoder, (steps,), shuffled=shuffled)

    ctc = "ctc-tiny" if encoder else "ctc-tiny-scratch"
    return (
        choice("ctc", ctc),
        choice("attention", "las-tiny"),
        choice("transducer", "rnnt-tiny", encoder or "logmel"),
        RecognizerChoice("hmm", "hmm-tiny", encoder, unit="words"),
        choice("other-texts", ctc, shuffled=True),
    )


def _about(run: Path) -> list[str]:
    """Write how many numbers a recognizer is, how long it was trained, and whether it recognizes audio as it arrives."""
    model, (record,) = load(str(run)), read_records([run])
    fitted = (run / "model" / "model.toml").stat().st_mtime - (run / "recipe.toml").stat().st_mtime  # at once, of an estimator
    seconds = record.training_seconds or max(fitted, 0.0)  # of one that is done, the same command writes the recipe once more
    trained = span(seconds) if seconds else "unknown"
    return [f"{sum(one.numel() for one in model.state_dict().values()):,}", trained, "yes" if _streams(model) else "no"]


def _streams(model: object) -> bool:
    try:
        return isinstance(model, FeatureExtractor) and bool(model.stream())
    except TypeError:
        return False
