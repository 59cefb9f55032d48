"""Pictures over the time of an utterance: waveform, spectrogram, phones; and how alike a layer finds its frames."""

from collections.abc import Sequence
from colorsys import hls_to_rgb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import INK, SMALL, SOFT, draw, series_color
from foresay.reports.example import Example, Layer
from foresay.reports.markup import Html, tag

EXCERPT = 2.0
"""Seconds in a self-similarity picture: somewhat more than the paper's window, and a phone is still wide enough for its label."""

LEFT, RIGHT = 0.065, 0.995
"""Where the time axis of wide pictures begins and ends, as shares of the width: the playhead of the page moves between them."""

FOOT = 0.46
"""Inches below the lowest row, for the seconds."""

BOUNDARY = {"color": "white", "linewidth": 0.6, "alpha": 0.8}
"""How phone boundaries are drawn on images."""

WIDE = 0.009
"""Share of the time axis that the number of a code needs."""

LOUDNESS_RANGE = 70.0
"""Decibels below the loudest that a spectrogram shows."""


def mel_spectrogram(waveform: NDArray[np.float32], sample_rate: int, *, bands: int = 80) -> NDArray[np.float64]:
    """Return decibels (bands, T) every 10 ms in windows of 25 ms, read off at frequencies equally far apart in mel.

    For the eye only: it interpolates where the filters of `foresay.audio` add up, and needs no torch.
    """
    hop, window = sample_rate // 100, sample_rate // 40
    padded = np.pad(waveform.astype(np.float64), (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: max(1, len(waveform) // hop)]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), 2 << window.bit_length())) ** 2  # (T, F), finer than a mel band
    frequencies = np.linspace(0.0, sample_rate / 2, power.shape[1])
    places = mel_place(frequencies, sample_rate)
    return np.stack([np.interp(np.linspace(0.0, 1.0, bands), places, frame) for frame in 10.0 * np.log10(power + 1e-10)], axis=1)


def mel_place(frequency: Any, sample_rate: int) -> Any:  # noqa: ANN401 - a number or an array of them
    """Where a frequency lies between 0 (0 Hz) and 1 (half the sample rate) on the mel scale."""
    return np.log1p(frequency / 700.0) / np.log1p(sample_rate / 2 / 700.0)


def cosine_similarity(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how alike all pairs of frames are: (T, D) -> (T, T), L2-normalized per frame (arXiv:2104.11946, Figure 2)."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit = values / np.where(norms > 0, norms, 1.0)
    return np.asarray(unit @ unit.T)


def neighbors_alike(layer: Layer, boundaries: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the mean cosine of consecutive frames inside phones and across their boundaries, or None where either is missing.

    A code that follows the phones is steady inside them and moves at their boundaries (arXiv:2104.11946, section 4.1 and Figure 3).
    """
    norms = np.linalg.norm(layer.values, axis=1)
    products = (layer.values[1:] * layer.values[:-1]).sum(axis=1)
    alike = products / np.maximum(norms[1:] * norms[:-1], 1e-12)
    place = np.searchsorted(boundaries, layer.times)
    crosses = place[1:] != place[:-1]
    labeled = (place[:-1] > 0) & (place[1:] < len(boundaries))  # both frames lie within the phone tier
    if not (labeled & crosses).any() or not (labeled & ~crosses).any():
        return None
    return float(alike[labeled & ~crosses].mean()), float(alike[labeled & crosses].mean())


def time_rows(figure: Any, heights: tuple[float, ...], example: Example) -> list[Any]:  # noqa: ANN401 - matplotlib is an optional extra
    """Return axes one above the other over the time of the example, the phones in the last, and another above each of `heights`."""
    figure.set_layout_engine("none")
    ratios, bottom = (*heights, 0.5), FOOT / figure.get_figheight()
    grid = figure.add_gridspec(len(ratios), 1, height_ratios=ratios, hspace=0.07, left=LEFT, right=RIGHT, top=0.99, bottom=bottom)
    rows = [figure.add_subplot(grid[i]) for i in range(len(ratios))]
    for axes in rows:
        axes.set_xlim(0.0, example.duration)
        axes.grid(visible=False)
    for axes in rows[:-1]:
        axes.tick_params(labelbottom=False, bottom=False)
        axes.spines["bottom"].set_visible(False)
    tier = rows[-1]
    tier.set(ylim=(0.0, 1.0), yticks=[], xlabel="seconds")
    tier.spines["left"].set_visible(False)
    tier.vlines(example.boundaries, 0.0, 1.0, color=SOFT, linewidth=0.7)
    for index, phone in enumerate(example.phones):  # neighbors on two heights, for labels wider than their phones
        tier.text(phone.middle, 0.28 + 0.44 * (index % 2), phone.label, fontsize=SMALL, color=INK, ha="center", va="center")
    return rows[:-1]


def draw_over_time(name: str, description: str, heights: tuple[float, ...], example: Example, paint: Any) -> Html:  # noqa: ANN401 - a function
    """Let `paint(axes, …)` draw on rows of these heights (inches) above the phones; the playhead of the page moves over the picture."""

    def all_rows(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        paint(*time_rows(figure, heights, example))

    picture = draw(name, description, (11.0, sum(heights) + 1.0), all_rows, class_="picture wide")
    return tag("div", tag("div", picture, tag("span", class_="playhead"), class_="timeline"), class_="scroll")


def draw_speech(example: Example, name: str) -> Html:
    """Draw waveform, mel spectrogram and phones over one time axis."""

    def paint(wave: Any, mel: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        columns = np.array_split(example.waveform, min(1200, len(example.waveform)))
        times = np.linspace(0.0, example.duration, len(columns))
        wave.fill_between(times, [c.min() for c in columns], [c.max() for c in columns], color=series_color(0), linewidth=0.4)
        wave.set_yticks([])
        wave.spines["left"].set_visible(False)
        energy = mel_spectrogram(example.waveform, example.sample_rate)
        image_over_time(mel, energy, (0.0, example.duration), cmap="magma", vmin=energy.max() - LOUDNESS_RANGE)
        mel.vlines(example.boundaries, 0.5, len(energy) + 0.5, **BOUNDARY)
        kilohertz = [k for k in (0.5, 1.0, 2.0, 4.0, 8.0) if 2000 * k <= example.sample_rate]
        places = [0.5 + len(energy) * mel_place(1000 * k, example.sample_rate) for k in kilohertz]
        mel.set_yticks(places, labels=[f"{k:g} kHz" for k in kilohertz])

    return draw_over_time(name, f"Waveform, spectrogram and phones of {example.id}", (0.7, 2.0), example, paint)


def draw_codes(rows: Sequence[tuple[int, Layer]], example: Example, name: str) -> Html:
    """Draw the codes of layers, each with its run's place on the page: a row each, equal neighbors as one, numbered if there is room."""

    def paint(*axes: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        for row, (run, layer) in zip(axes, rows, strict=True):
            codes = np.asarray(layer.codes)
            starts = np.flatnonzero(np.diff(codes, prepend=-1))
            ends = np.append(starts[1:], len(codes))
            half = 0.5 / layer.frame_rate
            for start, end in zip(starts, ends, strict=True):
                left, right = layer.times[start] - half, layer.times[end - 1] + half
                row.axvspan(left, right, color=code_color(int(codes[start])), linewidth=0)
                if right - left > WIDE * example.duration:
                    row.text((left + right) / 2, 0.5, str(codes[start]), fontsize=SMALL - 1, color="black", ha="center", va="center")
            row.vlines(example.boundaries, 0.0, 1.0, color=INK, linewidth=0.5)
            row.set(ylim=(0.0, 1.0))
            row.set_yticks([0.5], labels=[layer.name])
            row.tick_params(axis="y", length=0, labelcolor=series_color(run))
            row.spines["left"].set_visible(False)

    return draw_over_time(name, f"Clusters of the frames of {example.id}", (0.26,) * len(rows), example, paint)


def code_color(code: int) -> tuple[float, float, float]:
    """Return a light color; codes that follow each other get hues far apart (steps of the golden ratio)."""
    red, green, blue = hls_to_rgb(code * 0.618034 % 1.0, (0.62, 0.72, 0.8)[code % 3], 0.6)
    return red, green, blue


def image_over_time(axes: Any, values: NDArray[np.float64], edges: tuple[float, float], **how: Any) -> None:  # noqa: ANN401 - matplotlib
    """Draw (N, T) between two times, row 1 at the bottom; the limits of time stay as they were."""
    limits = axes.get_xlim()
    axes.imshow(values, origin="lower", aspect="auto", extent=(*edges, 0.5, len(values) + 0.5), **how)
    axes.set_xlim(limits)


def frame_edges(layer: Layer, frames: int) -> tuple[float, float]:
    """Where the first of so many frames begins and the last one ends, in seconds."""
    half = 0.5 / layer.frame_rate
    return float(layer.times[0] - half), float(layer.times[frames - 1] + half)


def excerpt(example: Example) -> tuple[float, float]:
    """Return the part of the example that self-similarity shows, in seconds: its middle."""
    start = max(0.0, (example.duration - EXCERPT) / 2)
    return start, min(example.duration, start + EXCERPT)


def excerpt_frames(layer: Layer, example: Example) -> NDArray[np.bool_]:
    """Which frames of a layer lie in the excerpt: (T,)."""
    start, end = excerpt(example)
    return np.asarray((layer.times >= start) & (layer.times <= end))


def draw_similarity(layer: Layer, example: Example, lowest: float, name: str, title: str) -> Html:
    """Draw the self-similarity of a layer over the excerpt, phone boundaries as lines and phones as labels.

    `lowest` is the cosine at the dark end of the colors, the same for all pictures that are to be compared.
    """
    inside = excerpt_frames(layer, example)
    alike = cosine_similarity(layer.values[inside])
    half = 0.5 / layer.frame_rate
    edges = (layer.times[inside][0] - half, layer.times[inside][-1] + half)
    lines = [time for time in example.boundaries if edges[0] < time < edges[1]]
    phones = [phone for phone in example.phones if edges[0] < phone.middle < edges[1]]

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.1, 0.1, 0.78, 0.88))
        image = axes.imshow(alike, origin="lower", cmap="viridis", vmin=lowest, vmax=1.0, extent=(*edges, *edges))
        axes.vlines(lines, *edges, **BOUNDARY)
        axes.hlines(lines, *edges, **BOUNDARY)
        middles = [phone.middle for phone in phones]
        # Labels may be wider than their phones: neighbors stand on two heights.
        axes.set_xticks(middles, labels=[("", "\n")[i % 2] + p.label for i, p in enumerate(phones)], fontsize=SMALL)
        axes.set_yticks(middles, labels=[p.label + ("", "\N{EM SPACE}\N{EM SPACE}")[i % 2] for i, p in enumerate(phones)], fontsize=SMALL)
        axes.tick_params(length=0, pad=2)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, cax=figure.add_axes((0.9, 0.28, 0.018, 0.52)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)

    return draw(name, f"How alike {title} finds each pair of frames (cosine)", (5.2, 4.61), paint)
