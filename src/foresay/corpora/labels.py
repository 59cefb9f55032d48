"""Labels for frames: a class for every frame of every recording of a manifest, packed into two arrays beside it.

    FOLDER/labels.toml     whose frames these are (rate, center of the first), how many classes, what made them
           codes.npy       (N,) uint16, recording after recording       ends.npy     (items,) where each one's end
           left-out.txt    recordings that could not be read, and so have no labels, if there are any

A label belongs to a time. Who asks for the labels of a window says at which times, so that a model may have another frame rate than
what made them (MFCC at 100 Hz, HuBERT at 50), and a window may begin anywhere.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import Window
from foresay.errors import UserError
from foresay.files import UNFINISHED, make_folder, read_text, write_text, writing
from foresay.settings import Table, read_toml, write_toml

LabelReader: TypeAlias = Callable[[Window], NDArray[np.int64]]
"""Reads the labels (T,) of a window's frames."""

ABOUT, CODES, ENDS, LEFT_OUT = "labels.toml", "codes.npy", "ends.npy", "left-out.txt"
SAID = {"classes": int, "frame_rate": float, "first_center": float, "data": str, "fingerprint": str}
"""What the description says at least: Hz, seconds, the manifest's digest, and a digest of all that the labels depend on."""
VERSION = 2
"""Of labels that lie on one even clock. Before, those of a recording's later half minutes lay beside their frames, farther and farther."""
NO_CLASS = -1
FARTHEST = 1.5
"""Frames between a time and the nearest label, beyond which it has none."""


class Clock(NamedTuple):
    """When a model's frames are."""

    sample_rate: int
    first_center: float
    """Samples: the middle of the first one."""
    hop: float
    """Samples from each to the next."""
    frame_count: Callable[[int], int]
    """Frames of so many samples."""


class FrameLabels:
    """The labels of a manifest's recordings."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Open them.

        Raises:
            UserError: there are none, or they are of another manifest.
        """
        about = read_about(folder)
        if about is None:
            msg = f"{folder} holds no labels: no {ABOUT}"
            raise UserError(msg)
        self.about = about
        if about["data"] != manifest.digest:
            msg = (
                f"the labels in {folder} were made for another manifest than {manifest.path} (or for what it held before): delete the "
                "folder to make them again"
            )
            raise UserError(msg)
        self.classes, self.frame_rate = int(self.about["classes"]), float(self.about["frame_rate"])
        self.first_center = float(self.about["first_center"])
        """Seconds."""
        self._codes, self._ends = _read(folder, len(manifest))

    def of_item(self, item: int) -> NDArray[np.int64]:
        """Labels of all frames of a recording, in order: (T,); none, if it could not be read."""
        return self._of(item).astype(np.int64)

    def at(self, item: int, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """Label of a recording at each of some times in seconds, (T,): that of the nearest frame, -1 where there is none near."""
        codes = self._of(item)
        if not len(codes):
            return np.full(len(times), NO_CLASS)
        places = (times - self.first_center) * self.frame_rate
        nearest = np.clip(np.rint(places), 0, len(codes) - 1).astype(np.int64)
        return np.where(np.abs(places - nearest) <= FARTHEST, codes[nearest].astype(np.int64), NO_CLASS)

    def _of(self, item: int) -> NDArray[np.uint16]:
        return self._codes[int(self._ends[item - 1]) if item else 0 : int(self._ends[item])]

    def of_window(self, window: Window, clock: Clock) -> NDArray[np.int64]:
        """Label of each frame that a model with this clock has in a window: (T,)."""
        frames, sample_rate = clock.frame_count(window.samples), clock.sample_rate
        centers = clock.first_center + clock.hop * np.arange(frames)
        labels = np.full(frames, NO_CLASS)
        begin = 0
        for item, start, stop in window.segments:
            inside = (centers >= begin) & (centers < begin + stop - start)
            labels[inside] = self.at(item, (centers[inside] - begin + start) / sample_rate)
            begin += stop - start
        return labels

    def reader(self, clock: Clock) -> LabelReader:
        """Read labels at the frames of a model.

        Raises:
            UserError: its frames are denser than the labels.
        """
        frame_rate = clock.sample_rate / clock.hop
        if frame_rate > 1.01 * self.frame_rate:
            msg = (
                f"these labels come {self.frame_rate:g} times a second, and the model has {frame_rate:g} frames a second: several frames "
                "would share a label. Make labels of something with at least the model's frame rate (parts.labels.encoder)"
            )
            raise UserError(msg)
        return lambda window: self.of_window(window, clock)


def read_about(folder: Path) -> Table | None:
    """Read what the labels in a folder are; None if there are none.

    Raises:
        UserError: they were made by a version of Foresay that made them otherwise.
    """
    path = folder / ABOUT
    if not path.is_file():
        return None
    about = read_toml(read_text(path), str(path))
    if about.get("version") == VERSION and not all(isinstance(about.get(key), kind) for key, kind in SAID.items()):
        msg = f"{path} does not say all that it should: was it edited? Delete {folder} to make the labels again"
        raise UserError(msg)
    if about.get("version") != VERSION:
        msg = (
            f"the labels in {folder} were made by an older version of Foresay, which in recordings longer than 30 s gave frames the labels "
            f"of others. Delete {folder} to make them again; what has learnt from them should begin anew, with another --run"
        )
        raise UserError(msg)
    return about


def _read(folder: Path, items: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Open the labels (N,) of so many recordings, and where each one's end (items,)."""
    try:
        codes, ends = np.load(folder / CODES, mmap_mode="r"), np.load(folder / ENDS)
        whole = codes.dtype == np.uint16 and codes.ndim == 1 and ends.dtype == np.int64 and ends.shape == (items,)
        whole = whole and bool((np.diff(ends, prepend=0) >= 0).all()) and (ends[-1] if items else 0) == len(codes)
    except (OSError, ValueError, EOFError):  # of np.load, for whatever may have become of a file
        whole = False
    if not whole:
        msg = f"the labels in {folder} are damaged ({CODES} and {ENDS} are not whole, or do not fit together): delete it to make them again"
        raise UserError(msg)
    return codes, ends


class LabelWriter:
    """Labels on their way to a folder, recording after recording. Who was stopped goes on where it was; they are there whole or not at all.

    FOLDER/.unfinished-labels     what is being made     .unfinished-codes, .unfinished-ends     as far as it is, without headers
    """

    def __init__(self, folder: Path, made: str) -> None:
        """`made`: a fingerprint of all they depend on; what was begun with another one is begun anew."""
        make_folder(folder)
        for name in (ABOUT, LEFT_OUT):
            (folder / name).unlink(missing_ok=True)
        self.folder = folder
        begun, *parts = (folder / f"{UNFINISHED}{name}" for name in ("labels", "codes", "ends", "left-out"))
        if not begun.is_file() or read_text(begun) != made:
            for path in parts:
                path.unlink(missing_ok=True)
            write_text(begun, made)
        self._unfinished = (begun, *parts)
        self._codes, self._ends, self._left_out = (path.open("ab") for path in parts)
        ends = np.fromfile(parts[1], np.int64)
        ends = ends[ends <= parts[0].stat().st_size // 2]  # what was cut short
        self.done = len(ends)
        """Recordings whose labels are there."""
        self._end = int(ends[-1]) if self.done else 0
        self._codes.truncate(2 * self._end)
        self._ends.truncate(8 * self.done)

    def add(self, item: int, codes: NDArray[np.integer]) -> None:
        """Add the labels (T,) of the recording at a place of the manifest; those between the last one and this have none."""
        for labels in (*[codes[:0]] * (item - self.done), codes):
            self._end += len(labels)
            self._codes.write(labels.astype(np.uint16).tobytes())
            self._codes.flush()  # first, so that no end lies beyond what is there
            self._ends.write(np.int64(self._end).tobytes())
            self._ends.flush()
            self.done += 1

    def leave_out(self, item: int, why: str) -> None:
        """Say that the recording at a place has no labels, and why."""
        self._left_out.write(" ".join(why.split("\n")).encode(errors="backslashreplace") + b"\n")
        self._left_out.flush()
        self.add(item, np.zeros(0, np.uint16))

    def read(self) -> list[NDArray[np.uint16]]:
        """Return the labels (T,) of each recording so far."""
        ends = np.fromfile(self._unfinished[2], np.int64)
        return np.split(np.fromfile(self._unfinished[1], np.uint16), ends)[:-1]

    def finish(self, items: int, about: Table) -> None:
        """Give the labels of so many recordings their names, the description last: `about` has at least what is `SAID`."""
        if self.done < items:
            self.add(items - 1, np.zeros(0, np.uint16))
        self.close()
        _, codes, ends, left_out = self._unfinished
        for path, name, dtype, count in ((codes, CODES, np.uint16, self._end), (ends, ENDS, np.int64, items)):
            with writing(self.folder / name) as file, path.open("rb") as begun_file:
                header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (count,)}
                np.lib.format.write_array_header_1_0(file, header)
                shutil.copyfileobj(begun_file, file)
                file.flush()
                os.fsync(file.fileno())
        if left_out.stat().st_size:
            write_text(self.folder / LEFT_OUT, left_out.read_text(encoding="utf-8"))
        write_text(self.folder / ABOUT, write_toml({"version": VERSION, **about}))
        for path in self._unfinished:
            path.unlink()

    def close(self) -> None:
        """Leave what there is for another time."""
        for file in (self._codes, self._ends, self._left_out):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
