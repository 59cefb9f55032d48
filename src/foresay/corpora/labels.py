"""Labels for frames: a class for every frame of every recording of a manifest, packed into two arrays beside it.

    FOLDER/labels.toml     whose frames these are (rate, center of the first), how many classes, what made them
           codes.npy       (N,) uint16, recording after recording       ends.npy     (items,) where each one's end

A label belongs to a time. Who asks for the labels of a window says at which times, so that a model may have another frame rate than
what made them (MFCC at 100 Hz, HuBERT at 50), and a window may begin anywhere.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.corpora.manifest import Manifest
from foresay.corpora.sampling import Window
from foresay.errors import UserError
from foresay.files import read_text, write_text
from foresay.settings import Table, read_toml, write_toml

LabelReader: TypeAlias = Callable[[Window], NDArray[np.int64]]
"""Reads the labels (T,) of a window's frames."""

ABOUT, CODES, ENDS = "labels.toml", "codes.npy", "ends.npy"
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


@dataclass(frozen=True)
class LabelSettings:
    """Labels of frames that a model is to learn: clusters of what another one hears."""

    of: str
    """A baseline (`mfcc`), a run, a model folder or `hf:NAME`."""
    layer: str
    clusters: int
    hours: float = 100.0
    """Clusters are found in about so many hours of the corpus, drawn at random."""
    frames: int = 1_000_000
    """And in about so many of their frames at most."""
    moved: bool = True
    """False: clusters lie around frames drawn at random and are not moved (an ablation)."""


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
        self.classes, self.frame_rate = int(self.about["classes"]), float(self.about["frame_rate"])
        self.first_center = float(self.about["first_center"])
        """Seconds."""
        self._codes, self._ends = np.load(folder / CODES, mmap_mode="r"), np.load(folder / ENDS)
        if len(self._ends) != len(manifest) or self.about["hours"] != round(float(manifest.durations.sum()) / 3600, 6):
            msg = (
                f"the labels in {folder} are of {len(self._ends):,} recordings, {self.about['hours']} h, and {manifest.path} has "
                f"{len(manifest):,}: they were made for another manifest. Delete the folder to make them again"
            )
            raise UserError(msg)

    def at(self, item: int, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """Label of a recording at each of some times in seconds, (T,): that of the nearest frame, -1 where there is none near."""
        begin = int(self._ends[item - 1]) if item else 0
        codes = self._codes[begin : int(self._ends[item])]
        if not len(codes):
            return np.full(len(times), NO_CLASS)
        places = (times - self.first_center) * self.frame_rate
        nearest = np.clip(np.rint(places), 0, len(codes) - 1).astype(np.int64)
        return np.where(np.abs(places - nearest) <= FARTHEST, codes[nearest].astype(np.int64), NO_CLASS)

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
                "would share a label. Make labels of something with at least the model's frame rate (labels.of)"
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
    if about.get("version") != VERSION:
        msg = (
            f"the labels in {folder} were made by an older version of Foresay, which in recordings longer than 30 s gave frames the labels "
            f"of others. Delete {folder} to make them again; what has learnt from them should begin anew, with another --run"
        )
        raise UserError(msg)
    return about


def write_labels(folder: Path, codes: Iterable[NDArray[np.int64]], about: Table) -> None:
    """Pack the labels (T,) of recording after recording, and say what they are; the description comes last, so they are there whole or not.

    `about` has at least `classes`, `frame_rate` (Hz), `first_center` (seconds) and `hours` of the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)
    parts = [part.astype(np.uint16) for part in codes]
    np.save(folder / CODES, np.concatenate(parts) if parts else np.zeros(0, np.uint16))
    np.save(folder / ENDS, np.cumsum([len(part) for part in parts], dtype=np.int64))
    write_text(folder / ABOUT, write_toml({"version": VERSION, **about}))
