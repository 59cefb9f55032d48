"""Demonstrate a capability from end to end, on a corpus that is made here."""

from pathlib import Path

from foresay.errors import UserError, nearest
from foresay.settings import find_class, list_names
from foresay.workflows.demos import Demo, Scale, Shown

PACKAGE = "foresay.workflows.demos"


def demo(run: str | Path = "runs", scale: Scale = "full", name: str = "acpc", corpus: str | Path | None = None) -> Shown:
    """Do a demonstration below the folder `run`: `acpc`, the main job, or another; what is already done there is not done again.

    `corpus`: a folder of one's own instead of the embedded corpus, with train.jsonl, valid.jsonl and test.jsonl.

    Raises:
        UserError: there is no such demonstration, an extra is not installed, or the runs there are of the other scale.
    """
    if name not in list_names(PACKAGE):
        msg = f"there is no demonstration {name!r}: {nearest(name, list_names(PACKAGE))}"
        raise UserError(msg)
    shown: Shown = find_class(PACKAGE, name, Demo)()(Path(run), scale, None if corpus is None else Path(corpus))
    return shown
