"""The features of a corpus, encoded once: kept in half precision on the disk, or pooled, so that all heads learn from one pass of a model.

    recording --> model, frozen --> layers of one size and rate --> (T, L, D) float16 --> a file without a name, as long as there is room
                                                                     |                    beyond that: encoded anew for each batch
                                                                     +--> mean and deviation over time (2, L, D), which is all that a
                                                                          linear head with mean pooling ever needs of an utterance

Half precision is part of the protocol, whether features are kept or not, so that no number depends on how much room there is. It differs
from single precision by 0.05 % of a value at most.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import SHORTEST, encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.files import make_folder

Key: TypeAlias = tuple[str, float, int | None, float]
"""A recording: file, start, channel, duration."""
HALF = 2
"""Bytes."""
RATED = 64
"""Recordings that say how large the features of a layer are."""
SPARE = 2**30
"""Bytes of a disk that are never filled."""


class Stack(NamedTuple):
    """Layers that can be added: of one size and one rate, those of the last layer."""

    names: tuple[str, ...]
    size: int
    """D."""
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, extractor: FeatureExtractor, layers: Sequence[str]) -> "Stack":
        """Take those of some layers that are as large and as frequent as the last of them."""
        shapes = {layer: (extractor.size(layer), extractor.hop(layer)) for layer in layers}
        size, _ = last = shapes[layers[-1]]
        alike = tuple(layer for layer in layers if shapes[layer] == last)
        return cls(alike, size, tuple(layer for layer in layers if layer not in alike))


class FeatureBatch(NamedTuple):
    """What a head is given."""

    features: Tensor
    """(B, T, L, D), or pooled (B, 2, 2, L, D): of frames as they are, and of normalized ones, mean and deviation."""
    lengths: Tensor
    """(B,) frames."""


class FeatureStore:
    """The features that one model makes of recordings, none encoded twice as long as there is room."""

    def __init__(self, subject: Subject, *, folder: Path | None = None, gigabytes: float = 20.0, device: str = "cpu") -> None:
        """`folder`: of the file, which goes with the process; None: where the system has temporary ones. `gigabytes`: at most."""
        self.subject, self.device = subject, device
        self.stack = Stack.of(subject.extractor, subject.layers)
        self._folder, self._left = folder or Path(tempfile.gettempdir()), round(gigabytes * 1e9)
        self._frames: dict[Key, NDArray[np.float16]] = {}
        self._pooled: dict[Key, Tensor] = {}

    @property
    def about(self) -> dict[str, Any]:
        """What results say of the layers: their names, and which were left out."""
        names = {"layers": list(self.stack.names)}
        if not self.stack.left_out:
            return names
        left_out = ", ".join(self.stack.left_out)
        return {**names, "note": f"{self.subject.name}: layers of another size or rate than the last one are left out: {left_out}"}

    def span(self, seconds: float | None) -> int:
        """Count the frames of these layers that are about as long as `seconds`: one at least, and one for None."""
        hop = self.subject.extractor.hop(self.stack.names[-1]) / self.subject.extractor.sample_rate
        return max(1, round((seconds or hop) / hop))

    def frames(self, manifest: Manifest, span: int = 1) -> "CorpusFeatures":
        """Encode the frames of a corpus, those that it lacks. `span`: how many are put side by side as one, (T // span, L, span D).

        Raises:
            UserError: the disk has less room than the budget allows to fill.
        """
        keys, counts = _keys(manifest), self._counts(manifest)
        lacking = {place: keys[place] for place in counts if keys[place] not in self._frames}
        total = sum(counts[place] for place in lacking)
        needed = HALF * total * len(self.stack.names) * self.stack.size
        if lacking and needed <= self._left:
            self._left -= needed
            self._fill(manifest, lacking, self._file(total, needed))
        return CorpusFeatures(self, manifest, counts, span)

    def pooled(self, manifest: Manifest) -> "PooledFeatures":
        """Pool the recordings of a corpus over time, those that it lacks; of frames that are kept, nothing is encoded."""
        keys, counts = _keys(manifest), self._counts(manifest)
        lacking = {place for place in counts if keys[place] not in self._pooled}
        for place in [place for place in lacking if keys[place] in self._frames]:
            self._pooled[keys[place]] = _pool(torch.from_numpy(self._frames[keys[place]]).float())
            lacking.discard(place)
        if lacking:
            for place, frames in self._encoded(manifest, lacking):
                self._pooled[keys[place]] = _pool(frames.float())
        return PooledFeatures({place: self._pooled[keys[place]].to(self.device) for place in counts}, counts)

    def of(self, keys: Sequence[Key], manifest: Manifest, places: Sequence[int]) -> list[Tensor]:
        """Return the frames of some recordings, kept or encoded now: (T, L, D) float32 each."""
        if all(key in self._frames for key in keys):
            return [torch.from_numpy(self._frames[key]).float() for key in keys]
        rate = self.subject.extractor.sample_rate
        waveforms = [torch.from_numpy(manifest.read(place, rate)) for place in places]
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=self.device)
        with torch.no_grad():
            found = self.subject.extractor.features(pad_sequence(waveforms, batch_first=True).to(self.device), lengths, self.stack.names)
        layers = self._halved(found.values, 2).float()
        counts = found.lengths[self.stack.names[-1]].tolist()
        return [frames[:count] for frames, count in zip(layers, counts, strict=True)]

    def _counts(self, manifest: Manifest) -> dict[int, int]:
        """Count the frames of each recording that has any, by its place."""
        rate = self.subject.extractor.sample_rate
        lengths = torch.from_numpy(manifest.lengths(rate))
        counts = self.subject.extractor.frame_count(lengths, self.stack.names[-1]).masked_fill(lengths < SHORTEST * rate, 0).tolist()
        return {place: count for place, count in enumerate(counts) if count > 0}

    def _file(self, total: int, needed: int) -> NDArray[np.float16]:
        """Make a file for so many frames, or say that the disk is too small."""
        make_folder(self._folder)
        free = shutil.disk_usage(self._folder).free
        if free < needed + SPARE:
            msg = (
                f"the features of {self.subject.name} take {needed / 1e9:.1f} GB; {self._folder} has {free / 1e9:.1f} GB free, of which "
                f"{SPARE / 1e9:.0f} GB stay free: give another folder (--cache DIR), fewer layers (--layers), or less room (--cache-gb), "
                "beyond which features are encoded anew for each batch"
            )
            raise UserError(msg)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="features-") as file:
            return np.memmap(file.name, np.float16, "w+", shape=(total, len(self.stack.names), self.stack.size))

    def _fill(self, manifest: Manifest, lacking: Mapping[int, Key], file: NDArray[np.float16]) -> None:
        done = 0
        for place, frames in self._encoded(manifest, set(lacking)):
            file[done : done + len(frames)] = frames.cpu().numpy()
            self._frames[lacking[place]] = file[done : done + len(frames)]
            done += len(frames)

    def _encoded(self, manifest: Manifest, places: set[int]) -> Iterator[tuple[int, Tensor]]:
        """Encode recordings: each one's place and frames (T, L, D) float16."""
        subject = Subject(self.subject.name, self.subject.model, self.stack.names)
        for recording in encode_recordings(subject, manifest, self.device, places):
            yield recording.index, self._halved(recording.features, 1)

    def _halved(self, features: Mapping[str, Tensor], dimension: int) -> Tensor:
        """Stack the layers, in half precision.

        Raises:
            UserError: a layer has values that this cannot hold, or that are no numbers.
        """
        layers = {name: features[name].half() for name in self.stack.names}
        if faulty := [name for name, values in layers.items() if not values.isfinite().all()]:
            msg = (
                f"{self.subject.name} has features that are infinite, no numbers, or beyond {torch.finfo(torch.half).max:,.0f}, the most "
                f"that half precision holds, in {', '.join(faulty)}: choose other layers (--layers)"
            )
            raise UserError(msg)
        return torch.stack(list(layers.values()), dimension)


class CorpusFeatures:
    """The frames of the recordings of a corpus."""

    def __init__(self, store: FeatureStore, manifest: Manifest, counts: Mapping[int, int], span: int) -> None:
        """`counts`: place -> frames of the model. `span`: how many are put side by side as one."""
        self.counts = {place: count // span for place, count in counts.items() if count >= span}
        """Place -> T."""
        self.places = tuple(self.counts)
        """Recordings that have frames."""
        self._store, self._manifest, self._keys, self._span = store, manifest, _keys(manifest), span
        extractor = store.subject.extractor
        hop = extractor.hop(store.stack.names[-1])
        self.seconds = span * hop / extractor.sample_rate
        """Of a frame."""
        self.start = (extractor.first_center - hop / 2) / extractor.sample_rate
        """Seconds, where frame 0 begins."""

    def batch(self, places: Sequence[int]) -> FeatureBatch:
        """Put some recordings side by side, padded with 0."""
        rows = self._rows(places)
        return FeatureBatch(pad_sequence(rows, batch_first=True).to(self._store.device), torch.tensor([len(row) for row in rows]))

    def rms(self) -> list[float]:
        """Return the root mean square of each layer, of the first recordings."""
        return torch.cat(self._rows(self.places[:RATED])).square().mean((0, 2)).sqrt().tolist()

    def _rows(self, places: Sequence[int]) -> list[Tensor]:
        rows = self._store.of([self._keys[place] for place in places], self._manifest, places)
        return [spliced(row, self._span) for row in rows]


class PooledFeatures:
    """Mean and deviation over time of the recordings of a corpus, of frames as they are and of normalized ones."""

    def __init__(self, vectors: Mapping[int, Tensor], counts: Mapping[int, int]) -> None:
        """`vectors`: place -> (2, 2, L, D)."""
        self.places, self.counts = tuple(vectors), counts
        self._rows = {place: row for row, place in enumerate(vectors)}
        self._vectors = torch.stack(list(vectors.values())) if vectors else torch.zeros(0)

    def batch(self, places: Sequence[int]) -> FeatureBatch:
        """Put some recordings side by side."""
        rows = torch.tensor([self._rows[place] for place in places], device=self._vectors.device)
        return FeatureBatch(self._vectors[rows], torch.tensor([self.counts[place] for place in places]))

    def rms(self) -> list[float]:
        """Return the root mean square of each layer, a mean over recordings."""
        return self._vectors[:, 0].square().sum(1).mean((0, 2)).sqrt().tolist()


Features: TypeAlias = CorpusFeatures | PooledFeatures


def normalized(frames: Tensor) -> Tensor:
    """Give each frame of each layer mean 0 and variance 1 over its features: (…, D)."""
    return F.layer_norm(frames, frames.shape[-1:])


def spliced(frames: Tensor, span: int) -> Tensor:
    """Put so many frames side by side as one: (T, L, D) -> (T // span, L, span D)."""
    return frames[: len(frames) // span * span].unflatten(0, (-1, span)).movedim(1, 2).flatten(2)


def _pool(frames: Tensor) -> Tensor:
    """Pool frames (T, L, D), and normalized ones: (2, 2 of mean and deviation, L, D)."""
    return torch.stack([torch.stack([one.mean(0), one.std(0, correction=0)]) for one in (frames, normalized(frames))])


def _keys(manifest: Manifest) -> list[Key]:
    return [(str(item.audio), item.start, item.channel, item.duration) for item in manifest]
