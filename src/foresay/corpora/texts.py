"""Text files as corpora: a manifest, or a file with a sentence a line, for what learns from texts alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.errors import UserError
from foresay.files import text_lines

MANIFEST = ".jsonl"


@contextmanager
def opened_texts(path: str | Path) -> Iterator[Manifest]:
    """Open a manifest or, whatever else it is called, a text file: each line is an item, whose id is the line's number.

    Raises:
        UserError: there is no such file, it is no text, or it is empty.
    """
    source = Path(path)
    if source.suffix == MANIFEST or not source.is_file():
        yield Manifest.open(path)
        return
    items = [Item(str(number), text=line.strip()) for number, line in enumerate(text_lines(source), 1) if line.strip()]
    if not items:
        msg = f"{path} is empty: a text file has a sentence a line"
        raise UserError(msg)
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder) / f"manifest{MANIFEST}", items)
        manifest = Manifest.open(Path(folder) / f"manifest{MANIFEST}")
        manifest.given, manifest.name = str(path), source.name
        yield manifest
