"""Write the report of one or several runs: one HTML page to look at, print or send."""

import os
from collections.abc import Sequence
from pathlib import Path

from foresay.errors import UserError
from foresay.files import write_text
from foresay.reports.page import page
from foresay.reports.record import read_records

PAGE = "report.html"


def report(runs: str | Path | Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Draw what is in the folders of `runs` and return the page's path.

    Without `out` the page of one run is its `report.html`; that of several stands in the folder that holds them all.
    What a run does not have yet (results, an example) the page says. The same folders give the same bytes.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)]
    html = page(read_records(folders))
    path = Path(out) if out is not None else _home(folders) / PAGE
    if path.is_dir():
        path /= PAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, html)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"the report cannot be written to {path}: {error.filename} is a file, not a folder. Choose another --out."
        raise UserError(msg) from error
    return path


def _home(folders: Sequence[Path]) -> Path:
    """The folder of one run, or the nearest folder that holds them all."""
    return folders[0] if len(folders) == 1 else Path(os.path.commonpath([folder.resolve() for folder in folders]))
