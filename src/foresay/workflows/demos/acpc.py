"""The main job from end to end, on the embedded corpus: make it, train CPC and Aligned CPC, see what they learnt, keep the models."""

from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.errors import UserError
from foresay.progress import stage
from foresay.workflows.demos import Demo, Scale, Shown
from foresay.workflows.evaluate import evaluate
from foresay.workflows.pretrain import pretrain
from foresay.workflows.report import report

RUNS = ("demo-cpc", "demo-acpc")
"""Recipes, and the runs' folders."""
MEASURES = ("probe:converged", "abx:phone", "segmentation:20ms", "similarity:cosine")
"""Ten epochs of so little audio, the paper's protocol, would hardly move a probe from the majority class."""
MORE = ("clusters:k50", "geometry:frames", "tsne:phones")
OPTIONS = ("abx.max_size_group=10", "abx.max_x_across=5", "clusters.restarts=1", "clusters.frames=60000")
"""ABX compares as much as ZeroSpeech 2021 does; ten of the corpus's 30 minutes are enough to find clusters in."""


@dataclass(frozen=True)
class DemoScale:
    """How much is done."""

    minutes: float
    """Of speech in the corpus."""
    overrides: tuple[str, ...] = ()
    measures: tuple[str, ...] = MEASURES


SCALES = {
    "full": DemoScale(minutes=40.0, measures=(*MEASURES, *MORE)),
    "tiny": DemoScale(minutes=12.0, overrides=("trainer.steps=200",)),
}


class MainJob(Demo):
    """CPC and Aligned CPC."""

    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Make the corpus, train both, measure them, and write the report.

        Raises:
            UserError: a corpus is given.
        """
        if corpus:
            msg = (
                f"this demonstration makes its own corpus; on {corpus}: foresay reproduce acpc --scale cpu --corpus {corpus} --run {parent}"
            )
            raise UserError(msg)
        size, corpus = SCALES[scale], parent / "demo-corpus"
        with stage(f"1/5 making a corpus of {size.minutes:.0f} minutes"):
            EmbeddedCorpus(minutes=size.minutes).make(corpus)
        runs = tuple(parent / name for name in RUNS)
        for number, (name, folder) in enumerate(zip(RUNS, runs, strict=True), start=2):
            with stage(f"{number}/5 training {name}"):
                pretrain(name, corpus / "train.jsonl", folder, valid=corpus / "valid.jsonl", overrides=size.overrides)
        options = [option for option in OPTIONS if any(measure.startswith(option.partition(".")[0]) for measure in size.measures)]
        with stage(f"4/5 measuring {', '.join(size.measures)}"):
            results = evaluate(runs, corpus / "test.jsonl", corpus / "train.jsonl", measures=size.measures, options=options)
        with stage("5/5 writing the report"):
            page = report(runs, parent / "report.html")
        model = runs[-1]
        return Shown(
            corpus,
            runs,
            page,
            results,
            more=(
                f"python -c \"import foresay; m = foresay.load('{model}'); print(m.layer_names)\"",
                f"foresay extract {model} {corpus / 'test.jsonl'} features --layer c",
            ),
        )
