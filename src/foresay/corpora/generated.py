"""What the makers of corpora share. One corpus = one file of `made/`: `sines` is made by the `Maker` that `sines.py` defines.

A corpus is made once for the same settings, whole or not at all, and mixed with nothing else. To add one, add a file; nothing else changes.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import soundfile

from foresay.corpora.manifest import Item, write_manifest
from foresay.errors import UserError, nearest
from foresay.files import finished, write_text
from foresay.locks import exclusive
from foresay.settings import find_class, first_line, list_names, read_toml_file, write_toml

SplitT = TypeVar("SplitT", bound=str)

PACKAGE = "foresay.corpora.made"

FOLDERS = ("audio", "images", "lexical", "syntactic")
"""What is emptied when a corpus is made anew."""


@dataclass(frozen=True)
class MadeCorpus:
    """Where a made corpus lies."""

    manifests: dict[str, Path]
    """Split -> manifest, and `all` of them in one."""
    reused: bool
    """It was there already, complete and with the same settings."""


@dataclass(frozen=True)
class Maker(ABC):
    """Makes one corpus. The fields of a maker are its options, on the command line too."""

    @abstractmethod
    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder: a new or empty one, or one that holds a corpus of this kind.

        Raises:
            UserError: the options make no sense, an extra is not installed, or the folder holds something else or cannot be written.
        """


def list_makers() -> dict[str, str]:
    """Return the corpora that can be made, each with the first line of its file, without importing them."""
    return {name: first_line(PACKAGE, name) for name in list_names(PACKAGE, "Maker")}


def find_maker(name: str) -> type[Maker]:
    """Find the maker of a corpus: the one in the file of its name, or, for a dotted name, in that module."""
    if "." not in name and name not in list_makers():
        msg = f"there is no corpus {name!r} that can be made: {nearest(name, list_makers())} Those that you have are imported."
        raise UserError(msg)
    return cast("type[Maker]", find_class(PACKAGE, name, Maker))


def make_once(
    folder: Path,
    title: str,
    description: Mapping[str, Any],
    splits: Iterable[SplitT],
    record: Callable[[], Mapping[SplitT, Sequence[Item]]],
    *,
    megabytes: int,
    phone_set: str | None = None,
) -> MadeCorpus:
    """Make a corpus in a new or empty folder, or in the place of another of its kind; leave it as it is if it is there already.

    Args:
        folder: where to.
        title: what messages call it, such as `the embedded corpus`.
        description: what `corpus.toml` will say, all that makes a difference among it; its `name` is the kind of corpus.
        splits: the manifests to write.
        record: writes everything below `folder / "audio"` and `folder / "images"`, and returns the items of each split.
        megabytes: about how many it takes.
        phone_set: of the items' phones.

    Raises:
        UserError: the folder holds something else or cannot be written.
    """
    parts = {split: folder / f"{split}.jsonl" for split in splits}
    manifests = {str(split): path for split, path in parts.items()} | {"all": folder / "manifest.jsonl"}
    complete = {**description, "complete": True}
    if _existing(folder) == complete and all(path.is_file() for path in manifests.values()):
        return MadeCorpus(manifests, reused=True)
    try:
        with exclusive(folder, "Wait until it has ended, or choose another folder"):
            _refuse_too_little_space(folder, title, megabytes)
            _clear(folder, title, manifests.values(), description)
            items = record()
            for split, path in parts.items():
                write_manifest(path, items[split], phone_set=phone_set)
            everything = dict.fromkeys(item for split in parts for item in items[split])  # an item may be in several
            write_manifest(manifests["all"], everything, phone_set=phone_set)
            write_text(folder / "corpus.toml", write_toml(complete))
    except (OSError, soundfile.LibsndfileError) as error:  # the latter reports a full disk as a `System error`
        msg = f"cannot write {title} to {folder}: {error}. It needs some {megabytes} MB: make room, or choose another folder."
        raise UserError(msg) from error
    return MadeCorpus(manifests, reused=False)


def _existing(folder: Path) -> dict[str, Any]:
    """What the folder's `corpus.toml` says; nothing if there is none."""
    path = folder / "corpus.toml"
    return read_toml_file(path) if path.is_file() else {}


def _refuse_too_little_space(folder: Path, title: str, megabytes: int) -> None:
    """Say so before the work, not in its middle. What is there makes room for what is written."""
    free = shutil.disk_usage(folder).free + sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if free < megabytes * 10**6:
        msg = f"{title} would take some {megabytes:,} MB, and {free / 1e6:,.0f} MB are free at {folder}: make a smaller one, or free some"
        raise UserError(msg)


def _clear(folder: Path, title: str, manifests: Iterable[Path], description: Mapping[str, Any]) -> None:
    """Empty the folder of an older or half-made corpus of this kind, and of nothing else; leave the description of one not yet complete."""
    if finished(folder.iterdir()) and _existing(folder).get("name") != description["name"]:
        msg = f"{folder} holds something else than {title}, which would be mixed with it: name a new or an empty folder."
        raise UserError(msg)
    for path in manifests:
        path.unlink(missing_ok=True)
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    write_text(folder / "corpus.toml", write_toml({**description, "complete": False}))
