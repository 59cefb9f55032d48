"""Do a paper again: train its models, measure them, and set our numbers beside the published ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foresay.corpora.demo import make_demo_corpus
from foresay.errors import UserError, nearest
from foresay.workflows.evaluate import evaluate
from foresay.workflows.pretrain import pretrain
from foresay.workflows.report import report
from foresay.workflows.reproductions import acpc

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Reproduction:
    """Where everything is."""

    tables: Path
    report: Path
    text: str
    """The tables, in Markdown."""


def reproduce(
    paper: str,
    run: str | Path,
    *,
    scale: Literal["demo", "small", "paper"] = "demo",
    corpus: str | Path | None = None,
    device: str | None = None,
) -> Reproduction:
    """Train and measure every cell below the folder `run`; what is done there already is not done again.

    `corpus`: a folder with train.jsonl, valid.jsonl and test.jsonl, with phones; at the scale `demo` the embedded corpus is made if none
    is given.

    Raises:
        UserError: there is no such paper or scale, or the corpus lacks a split.
    """
    if paper != "acpc":
        msg = f"no paper {paper!r} can be done again here: {nearest(paper, ['acpc'])}"
        raise UserError(msg)
    if scale not in acpc.SCALES:
        msg = f"there is no scale {scale!r}: {nearest(scale, acpc.SCALES)}"
        raise UserError(msg)
    size, parent = acpc.SCALES[scale], Path(run)
    manifests = _splits(Path(corpus)) if corpus else _embedded(parent, scale, embedded=size.embedded)
    runs = []
    for seed in size.seeds:
        for cell in size.cells:
            runs.append(parent / acpc.folder(cell, seed))
            changes = acpc.overrides(cell, size, seed)
            pretrain(size.base, manifests["train"], runs[-1], valid=manifests["valid"], overrides=changes, device=device)
    for measure in size.measures:
        evaluate(runs, manifests["test"], manifests["train"], measures=(measure,), device=device)
    text = acpc.tables(parent, size)
    tables = parent / "tables.md"
    tables.write_text(text, encoding="utf-8")
    return Reproduction(tables, report(runs, parent / "report.html"), text)


def _embedded(parent: Path, scale: str, *, embedded: bool) -> dict[str, Path]:
    if not embedded:
        msg = f"the scale {scale!r} needs real speech: --corpus DIR, a folder with train.jsonl, valid.jsonl and test.jsonl"
        raise UserError(msg)
    folder = parent / "corpus"
    make_demo_corpus(folder)
    return _splits(folder)


def _splits(folder: Path) -> dict[str, Path]:
    found = {split: folder / f"{split}.jsonl" for split in SPLITS}
    missing = [path.name for path in found.values() if not path.is_file()]
    if missing:
        msg = f"{folder} lacks {', '.join(missing)}: `foresay corpus import` writes them, and any manifest can be split by hand"
        raise UserError(msg)
    return found
