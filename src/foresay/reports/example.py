"""An utterance that evaluation kept (artifacts/example-1.npz and so on): its sound, its phones, and what the model made of it."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

LONGEST = 20.0
"""Seconds of the example that are drawn and played."""


class Phone(NamedTuple):
    """A phone of the example, in seconds."""

    start: float
    end: float
    label: str

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Layer:
    """What one layer made of the example."""

    name: str
    values: NDArray[np.float64]
    """(T, D)."""
    frame_rate: float
    first_center: float
    """Seconds: the center of frame 0's receptive field."""
    count: int
    """Frames of the whole utterance, of which `values` holds those that are drawn."""
    codes: NDArray[np.int64] | None = None
    """(T,): the k-means cluster of each."""

    @property
    def times(self) -> NDArray[np.float64]:
        """The middle of each frame (T,), in seconds."""
        return self.first_center + np.arange(len(self.values)) / self.frame_rate


@dataclass(frozen=True)
class AlignedExample:
    """Where a recognizer finds the transcript in the example, by N rows that the text passes from the first to the last."""

    rows: tuple[str, ...]
    """N: symbols; nothing for a blank."""
    shares: NDArray[np.float64]
    """(T, N)."""
    meaning: str
    """What the shares are."""
    path: NDArray[np.int64]
    """(T,): the row of each frame."""
    words: tuple[str, ...]
    times: NDArray[np.float64]
    """(W, 2) seconds: begin and end of each word."""
    true: NDArray[np.float64] | None
    """(W, 2), where they are known."""


@dataclass(frozen=True)
class Example:
    """An utterance, up to `LONGEST` seconds of it."""

    id: str
    text: str
    waveform: NDArray[np.float32]
    """(S,)."""
    sample_rate: int
    phones: tuple[Phone, ...]
    layers: tuple[Layer, ...]
    inspected: Mapping[str, NDArray[Any]]
    """What the model holds worth drawing, by name; the whole utterance of it."""
    whole: float
    """Seconds of the whole utterance."""
    aligned: AlignedExample | None = None
    """By a recognizer."""

    @property
    def duration(self) -> float:
        """Seconds that are drawn."""
        return len(self.waveform) / self.sample_rate

    @property
    def boundaries(self) -> NDArray[np.float64]:
        """Times (N,) at which a phone begins or ends, each once, in seconds."""
        return np.unique([time for phone in self.phones for time in (phone.start, phone.end)])


def read_example(arrays: Mapping[str, NDArray[Any]]) -> Example | None:
    """Make sense of the arrays of an artifact; None where there is no sound."""
    if not len(arrays.get("waveform", ())):
        return None
    rate = int(arrays["sample_rate"])
    waveform = np.asarray(arrays["waveform"], dtype=np.float32)
    shown = waveform[: round(LONGEST * rate)]
    end = len(shown) / rate
    tiers = zip(*(arrays.get(f"phone_{key}", ()) for key in ("starts", "ends", "labels")), strict=True)
    return Example(
        id=str(arrays.get("id", "")),
        text=str(arrays.get("text", "")),
        waveform=shown,
        sample_rate=rate,
        phones=tuple(Phone(float(s), min(float(e), end), str(label)) for s, e, label in tiers if s < end),
        layers=tuple(_layer(key.removeprefix("features_"), arrays, end) for key in arrays if key.startswith("features_")),
        inspected={key.removeprefix("inspect_"): values for key, values in arrays.items() if key.startswith("inspect_")},
        whole=len(waveform) / rate,
        aligned=_aligned(arrays) if "alignment_path" in arrays else None,
    )


def flac(waveform: NDArray[np.float32] | NDArray[np.int16], sample_rate: int) -> str:
    """Return a sound (S,) as a data address of 16 bit FLAC: lossless, and half the size of WAV."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _aligned(arrays: Mapping[str, NDArray[Any]]) -> AlignedExample:
    rows, words = (tuple(str(one) for one in arrays[f"alignment_{name}"]) for name in ("rows", "words"))
    shares, times = (np.asarray(arrays[f"alignment_{name}"], dtype=np.float64) for name in ("shares", "times"))
    return AlignedExample(
        rows, shares, str(arrays["alignment_meaning"]), arrays["alignment_path"], words, times, arrays.get("alignment_true")
    )


def _layer(name: str, arrays: Mapping[str, NDArray[Any]], end: float) -> Layer:
    values, frame_rate = arrays[f"features_{name}"], float(arrays[f"frame_rate_{name}"])
    shown = np.nan_to_num(np.asarray(values, dtype=np.float64)[: max(1, round(end * frame_rate))])
    codes = arrays.get(f"codes_{name}")
    first = float(arrays.get("first_center_seconds", 0.0))
    return Layer(name, shown, frame_rate, first, len(values), None if codes is None else codes[: len(shown)])
