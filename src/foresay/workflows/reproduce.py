"""Do a paper again: train its models, measure them, and set our numbers beside the published ones."""

from dataclasses import dataclass
from pathlib import Path

from foresay.errors import UserError, nearest
from foresay.progress import stage
from foresay.settings import find_class, list_names
from foresay.workflows.evaluate import evaluate
from foresay.workflows.pretrain import pretrain
from foresay.workflows.report import report
from foresay.workflows.reproductions import Reproduction

PACKAGE = "foresay.workflows.reproductions"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Done:
    """Where everything is."""

    tables: Path
    report: Path
    text: str
    """The tables, in Markdown."""


def reproduce(paper: str, run: str | Path, *, scale: str = "demo", corpus: str | Path | None = None, device: str | None = None) -> Done:
    """Train and measure every cell of the paper's tables below the folder `run`; what is done there already is not done again.

    `corpus`: a folder with train.jsonl, test.jsonl and, if training is to be validated, valid.jsonl, labelled as the paper's measures ask
    (phones, classes, or transcripts); the smallest scale makes its own if none is given. If there is an unlabelled.jsonl, that is what
    models are pre-trained on.

    Raises:
        UserError: there is no such paper or scale, or the corpus lacks something.
    """
    if paper not in list_names(PACKAGE):
        msg = f"no paper {paper!r} can be done again here: {nearest(paper, list_names(PACKAGE))}"
        raise UserError(msg)
    plan = find_class(PACKAGE, paper, Reproduction)()
    if scale not in plan.scales:
        msg = f"there is no scale {scale!r}: {nearest(scale, plan.scales)}"
        raise UserError(msg)
    parent = Path(run)
    folder = Path(corpus) if corpus else parent / "corpus"
    if not corpus:
        with stage("making the corpus"):
            _make(plan, scale, folder)
    splits = _splits(folder)
    plan.check(scale, folder)
    trainings = plan.trainings(scale)
    for number, training in enumerate(trainings, start=1):
        where = parent / training.folder
        with stage(f"training {number} of {len(trainings)}, {training.folder}"):
            pretrain(
                training.recipe,
                splits.get("unlabelled", splits["train"]),
                where,
                valid=splits.get("valid"),
                overrides=training.overrides,
                device=device,
            )
    measurings = plan.measurings(scale, folder, parent)
    for number, measuring in enumerate(measurings, start=1):
        models = [parent / model for model in measuring.models]
        asked = {"measures": measuring.measures, "options": measuring.options, "layers": measuring.layers}
        with stage(f"measuring {number} of {len(measurings)}, {', '.join(measuring.measures)} of {len(models)} models"):
            evaluate(models, measuring.corpus, measuring.train, **asked, device=device)
    plan.finish(scale, folder, parent)
    with stage("writing the tables and the report"):
        text, tables = plan.tables(scale, parent), parent / "tables.md"
        tables.write_text(text, encoding="utf-8")
        page = report([parent / name for name in plan.shown(scale)], parent / "report.html")
    return Done(tables, page, text)


def _make(plan: Reproduction, scale: str, folder: Path) -> None:
    if not plan.make_corpus(scale, folder):
        msg = f"the scale {scale!r} needs a corpus of yours: --corpus DIR, a folder with train.jsonl and test.jsonl"
        raise UserError(msg)


def _splits(folder: Path) -> dict[str, Path]:
    found = {split: path for split in (*SPLITS, "valid", "unlabelled") if (path := folder / f"{split}.jsonl").is_file()}
    missing = [f"{split}.jsonl" for split in SPLITS if split not in found]
    if missing:
        msg = f"{folder} lacks {', '.join(missing)}: `foresay corpus import` writes them, and any manifest can be split by hand"
        raise UserError(msg)
    return found
