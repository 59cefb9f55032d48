"""SUPERB in miniature: three models pre-trained on minutes of speech, and log-mel features, on ten tasks that are made here.

CPC, Aligned CPC and HuBERT, small ones, learn from the training recordings of all tasks, without what is known of them. Then each
task is a command of its own, several side by side.
"""

from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.item import Item
from foresay.corpora.made.superb import MiniatureSuperb
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.errors import UserError
from foresay.progress import stage
from foresay.reports.superb import SHORT, table
from foresay.results import RESULTS, Result, read_results, with_draws
from foresay.workflows.demos import Demo, Scale, Shown
from foresay.workflows.experiment import Command, Stage, do, overriding
from foresay.workflows.report import report
from foresay.workflows.superb import BASELINE, TASKS


@dataclass(frozen=True)
class SuperbScale:
    """How much is done."""

    scale: float
    """Of the miniature."""
    share: float
    """Of the updates of pre-training."""
    options: tuple[str, ...] = ()


SCALES = {
    "full": SuperbScale(scale=1.0, share=1.0),
    "tiny": SuperbScale(scale=0.5, share=0.1),
}
MODELS = {
    "cpc": ("demo-cpc", 600, ("model.channels=64",)),
    "acpc": ("demo-acpc", 600, ("model.channels=64",)),
    "hubert": ("hubert-tiny", 600, ("data.seconds=12", "model.channels=64", "model.size=128", "model.inner=512")),
}
"""Runs: recipe, updates, what is otherwise: some minutes of two processors for all."""
UNLABELLED = "unlabelled.jsonl"


class SuperbDemo(Demo):
    """Ten tasks."""

    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Make the corpus, pre-train, measure all, and write the table and the report.

        Raises:
            UserError: a corpus is given.
        """
        if corpus:
            msg = f"this demonstration makes its own corpus; on {corpus}: foresay superb RUN --corpus {corpus} --protocol clean"
            raise UserError(msg)
        size, place = SCALES[scale], parent / "superb"
        corpus = place / "corpus"
        with stage("making the miniature of SUPERB"):
            MiniatureSuperb(scale=size.scale).make(corpus)
        speech = _unlabelled(corpus)
        runs = {name: place / name for name in MODELS}
        pretraining = []
        for name, (recipe, steps, changes) in MODELS.items():
            overrides = overriding((f"trainer.steps={round(size.share * steps)}", *changes))
            pretraining.append(Command(("pretrain", recipe, "--corpus", str(speech), "--run", str(runs[name]), *overrides)))
        common = (*map(str, runs.values()), "--corpus", str(corpus), "--protocol", "tiny")
        do(
            [
                Stage(f"pre-training {', '.join(MODELS)}", tuple(pretraining)),
                Stage("ten tasks", tuple(Command(("superb", *common, "--tasks", task)) for task in TASKS)),
            ]
        )
        with stage("writing the report"):
            page = report(tuple(runs.values()), place / "report.html")
        results = _results(tuple(runs.values()))
        more = (f"foresay superb {' '.join(map(str, runs.values()))} --corpus {corpus} --protocol tiny --tasks ks --layers c",)
        return Shown(corpus, tuple(runs.values()), page, results, table(results), more)


def _unlabelled(corpus: Path) -> Path:
    """Write a manifest of all that is trained on, each recording once, without what is known of it."""
    path = corpus / UNLABELLED
    if not path.exists():
        found: dict[tuple[Path | None, float], Item] = {}
        for task in TASKS:
            if (manifest := corpus / task / "train.jsonl").exists():
                for item in Manifest.open(manifest):
                    found.setdefault((item.audio, item.start), item)
        write_manifest(path, (_bare(item, f"{number:05d}") for number, item in enumerate(found.values())))
    return path


def _bare(item: Item, name: str) -> Item:
    """Leave of a recording what it takes to read it."""
    return Item(name, audio=item.audio, duration=item.duration, sample_rate=item.sample_rate, start=item.start, channel=item.channel)


def _results(runs: tuple[Path, ...]) -> list[Result]:
    """Read what was measured of all runs, and of log-mel once."""
    found = []
    for run in runs:
        rows = [row for row in read_results(run / RESULTS) if row.measure in SHORT]
        found += [row for row in with_draws(run, rows) if row.model != BASELINE or run == runs[0]]
    return found
