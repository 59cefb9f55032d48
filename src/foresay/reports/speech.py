"""The example utterance: heard, seen, and how alike the model finds its frames."""

import base64
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from foresay.reports.canvas import INK, SMALL, SOFT, draw, series_color
from foresay.reports.markup import Html

LONGEST = 20.0
"""Seconds of the example that are drawn and played."""

EXCERPT = 2.5
"""Seconds in a self-similarity picture: about twice the paper's window, and a phone is still wide enough for its label."""

LEFT, RIGHT = 0.065, 0.995
"""Where the time axis of wide pictures begins and ends, as shares of the width: the playhead of the page moves between them."""

BOUNDARY = {"color": "white", "linewidth": 0.7, "alpha": 0.8}


class Phone(NamedTuple):
    """A phone of the example, in seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Layer:
    """What one layer made of the example."""

    name: str
    values: NDArray[np.float64]
    """(T, D)."""
    frame_rate: float
    first_center: float
    """Seconds: the middle of what frame 0 sees."""
    count: int
    """Frames of the whole utterance, of which `values` holds those that are drawn."""

    @property
    def times(self) -> NDArray[np.float64]:
        """The middle of each frame (T,), in seconds."""
        return self.first_center + np.arange(len(self.values)) / self.frame_rate


@dataclass(frozen=True)
class Example:
    """The utterance that evaluation kept, up to `LONGEST` seconds, with what the model made of it."""

    id: str
    text: str
    waveform: NDArray[np.float32]
    """(S,)."""
    sample_rate: int
    phones: tuple[Phone, ...]
    layers: tuple[Layer, ...]
    inspected: Mapping[str, NDArray[Any]]
    """What the model holds worth drawing, by name."""
    whole: float
    """Seconds of the whole utterance."""

    @property
    def duration(self) -> float:
        """Seconds that are drawn."""
        return len(self.waveform) / self.sample_rate

    @property
    def boundaries(self) -> NDArray[np.float64]:
        """Times at which a phone begins or ends, each once, in seconds."""
        return np.unique([time for phone in self.phones for time in (phone.start, phone.end)])


def read_example(arrays: Mapping[str, NDArray[Any]]) -> Example | None:
    """Make sense of the arrays of artifacts/example.npz; None where there is no waveform."""
    if not len(arrays.get("waveform", ())):
        return None
    rate = int(arrays["sample_rate"])
    waveform = np.asarray(arrays["waveform"], dtype=np.float32)
    shown = waveform[: round(LONGEST * rate)]
    end = len(shown) / rate
    tiers = zip(*(arrays.get(f"phone_{key}", ()) for key in ("starts", "ends", "labels")), strict=True)
    first_center = float(arrays.get("first_center_seconds", 0.0))
    layers = []
    for key, values in arrays.items():
        if key.startswith("features_"):
            name = key.removeprefix("features_")
            frame_rate = float(arrays[f"frame_rate_{name}"])
            frames = np.asarray(values, dtype=np.float64)[: round(end * frame_rate)]
            layers.append(Layer(name, frames, frame_rate, first_center, len(values)))
    return Example(
        id=str(arrays.get("id", "")),
        text=str(arrays.get("text", "")),
        waveform=shown,
        sample_rate=rate,
        phones=tuple(Phone(float(s), min(float(e), end), str(label)) for s, e, label in tiers if s < end),
        layers=tuple(layers),
        inspected={key.removeprefix("inspect_"): values for key, values in arrays.items() if key.startswith("inspect_")},
        whole=len(waveform) / rate,
    )


def flac(example: Example) -> str:
    """Return the drawn part as a data address of 16 bit FLAC."""
    buffer = io.BytesIO()
    soundfile.write(buffer, example.waveform.clip(-1.0, 1.0), example.sample_rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mel_spectrogram(waveform: NDArray[np.float32], sample_rate: int, *, bands: int = 80) -> NDArray[np.float64]:
    """Return log power (bands, T) every 10 ms in windows of 25 ms, read off at frequencies equally far apart in mel.

    For the eye only: it interpolates where the filters of `foresay.audio` add up, and needs no torch.
    """
    hop, window = sample_rate // 100, sample_rate // 40
    padded = np.pad(waveform.astype(np.float64), (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: max(1, len(waveform) // hop)]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), 1 << window.bit_length())) ** 2  # (T, F)
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    wanted = 700.0 * (10.0 ** (np.linspace(0.0, top, bands) / 2595.0) - 1.0)
    grid = np.linspace(0.0, sample_rate / 2, power.shape[1])
    return np.stack([np.interp(wanted, grid, frame) for frame in 10.0 * np.log10(power + 1e-8)], axis=1)


def cosine_similarity(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how alike all pairs of frames are: (T, D) -> (T, T), L2-normalized per frame (arXiv:2104.11946, Figure 2)."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit = values / np.where(norms > 0, norms, 1.0)
    return np.asarray(unit @ unit.T)


def neighbors_alike(layer: Layer, boundaries: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the mean cosine of consecutive frames inside phones and across their boundaries, or None where there are too few of either.

    A code that follows the phones is steady inside them and moves at their boundaries (arXiv:2104.11946, section 4.1 and Figure 3).
    """
    alike = np.diagonal(cosine_similarity(layer.values), offset=1)
    place = np.searchsorted(boundaries, layer.times)
    crosses = place[1:] != place[:-1]
    labeled = (place[:-1] > 0) & (place[1:] < len(boundaries))  # both frames lie within the phone tier
    if not (labeled & crosses).any() or not (labeled & ~crosses).any():
        return None
    return float(alike[labeled & ~crosses].mean()), float(alike[labeled & crosses].mean())


def draw_speech(example: Example, name: str) -> Html:
    """Draw waveform, mel spectrogram and phones over one time axis."""

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        figure.set_layout_engine("none")
        grid = figure.add_gridspec(
            3, 1, height_ratios=(1.0, 2.6, 0.55), hspace=0.06, left=LEFT, right=RIGHT, top=0.99, bottom=0.13
        )
        wave, mel, phones = (figure.add_subplot(grid[i]) for i in range(3))
        low, high, times = _outline(example)
        wave.fill_between(times, low, high, color=series_color(0), linewidth=0.3)
        wave.set(yticks=[], xlim=(0.0, example.duration))
        wave.grid(visible=False)
        wave.spines[["left", "bottom"]].set_visible(False)
        energy = mel_spectrogram(example.waveform, example.sample_rate)
        mel.imshow(
            energy, origin="lower", aspect="auto", cmap="magma", extent=(0.0, example.duration, 0.0, 1.0), vmin=energy.max() - 70.0
        )
        ticks = [k for k in (0.5, 1.0, 2.0, 4.0, 8.0) if k <= example.sample_rate / 2000]
        mel.set(yticks=[_mel_place(1000 * k, example.sample_rate) for k in ticks], yticklabels=[f"{k:g}" for k in ticks], ylabel="kHz (mel)")
        mel.vlines(example.boundaries, 0.0, 1.0, **BOUNDARY)
        paint_phones(phones, example, (0.0, example.duration))
        for axes in (wave, mel):
            axes.tick_params(labelbottom=False, bottom=False)
        phones.set_xlabel("seconds")

    return draw(name, f"Waveform and spectrogram of {example.id}", (11.0, 3.3), paint, class_="picture wide")


def paint_phones(axes: Any, example: Example, limits: tuple[float, float]) -> None:  # noqa: ANN401 - matplotlib is an optional extra
    """Draw the phone tier: each phone a box with its label, narrow ones on two heights."""
    axes.set(xlim=limits, ylim=(0.0, 1.0), yticks=[])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.vlines(example.boundaries, 0.0, 1.0, color=SOFT, linewidth=0.7)
    for index, phone in enumerate(p for p in example.phones if limits[0] <= (p.start + p.end) / 2 <= limits[1]):
        axes.text((phone.start + phone.end) / 2, 0.3 + 0.4 * (index % 2), phone.label, fontsize=SMALL, color=INK, ha="center", va="center")


def draw_similarity(layer: Layer, example: Example, lowest: float, name: str, title: str) -> Html:
    """Draw the self-similarity of a layer over an excerpt, with phone boundaries as lines and phones as labels.

    `lowest` is the cosine at the dark end of the colors, the same for all pictures that are to be compared.
    """
    start, end = excerpt(example)
    inside = (layer.times >= start) & (layer.times <= end)
    alike = cosine_similarity(layer.values[inside])

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        half = 0.5 / layer.frame_rate
        times = layer.times[inside]
        edges = (times[0] - half, times[-1] + half)
        image = axes.imshow(alike, origin="lower", cmap="viridis", vmin=lowest, vmax=1.0, extent=(*edges, *edges))
        lines = [time for time in example.boundaries if edges[0] < time < edges[1]]
        axes.vlines(lines, *edges, **BOUNDARY)
        axes.hlines(lines, *edges, **BOUNDARY)
        middles = [((p.start + p.end) / 2, p.label) for p in example.phones if edges[0] < (p.start + p.end) / 2 < edges[1]]
        for axis, shifts in ((axes.xaxis, itertools.cycle(("", "\n"))), (axes.yaxis, itertools.cycle(("", "    ")))):
            labels = [f"{shift}{label}" if axis is axes.xaxis else f"{label}{shift}" for (_, label), shift in zip(middles, shifts, strict=False)]
            axis.set_ticks([time for time, _ in middles], labels=labels, fontsize=6.5)
        axes.tick_params(length=0, pad=2)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)

    return draw(name, f"How alike {title} finds each pair of frames (cosine)", (5.2, 4.6), paint)


def excerpt(example: Example) -> tuple[float, float]:
    """Return the part of the example that self-similarity shows: its middle."""
    start = max(0.0, (example.duration - EXCERPT) / 2)
    return start, min(example.duration, start + EXCERPT)


def _outline(example: Example) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest sample in each of at most 1200 columns, and the times of the columns."""
    columns = np.array_split(example.waveform, min(1200, len(example.waveform)))
    times = np.linspace(0.0, example.duration, len(columns))
    return np.array([c.min() for c in columns]), np.array([c.max() for c in columns]), times


def _mel_place(frequency: float, sample_rate: int) -> float:
    """Where a frequency lies between 0 (0 Hz) and 1 (half the sample rate) on the mel scale."""
    return float(np.log10(1.0 + frequency / 700.0) / np.log10(1.0 + sample_rate / 2 / 700.0))
