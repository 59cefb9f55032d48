"""The main job from end to end, on the embedded corpus: make it, train CPC and Aligned CPC, see what they learnt, keep the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foresay.corpora.demo import make_demo_corpus
from foresay.results import Result
from foresay.workflows.evaluate import evaluate
from foresay.workflows.pretrain import pretrain
from foresay.workflows.report import report

RECIPES = ("demo-cpc", "demo-acpc")
MINUTES = {"full": 40.0, "tiny": 12.0}
OVERRIDES = {"full": (), "tiny": ("trainer.steps=100",)}


@dataclass(frozen=True)
class Demo:
    """Where everything is, and what was measured."""

    corpus: Path
    runs: tuple[Path, ...]
    report: Path
    results: list[Result]


def demo(run: str | Path = "runs", scale: Literal["tiny", "full"] = "full") -> Demo:
    """Do the main job below the folder `run`; whatever is already done there is not done again.

    `full` takes less than ten minutes on two cores, `tiny` less than three.
    """
    parent = Path(run)
    corpus = parent / f"demo-corpus-{scale}"
    make_demo_corpus(corpus, minutes=MINUTES[scale])
    runs = tuple(parent / name for name in RECIPES)
    for folder in runs:
        pretrain(folder.name, corpus / "train.jsonl", folder, valid=corpus / "valid.jsonl", overrides=OVERRIDES[scale])
    results = evaluate(runs, corpus / "test.jsonl", corpus / "train.jsonl", measures=("probe:paper",))
    page = report(runs, parent / "report.html")
    return Demo(corpus, runs, page, results)
