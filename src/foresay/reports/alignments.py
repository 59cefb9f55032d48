"""Pictures of where a recognizer finds a text in audio: hard, a staircase over the spectrogram, and soft, how each frame is shared out.

Of every recognizer alike: what the rows and shares are, it says itself (`encoding/text_alignment.py`).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import INK, SMALL, series_color
from foresay.reports.example import AlignedExample, Example, Phone
from foresay.reports.markup import Html, join, tag
from foresay.reports.speech import (
    BOUNDARY,
    LOUDNESS_RANGE,
    draw_over_time,
    frame_edges,
    image_over_time,
    mel_spectrogram,
)
from foresay.statistics.aligned_words import fit, uniform

SPECTROGRAM, WORDS = 1.6, 0.26
"""Inches."""
ROW, LEAST = 0.055, 1.2
"""Inches of a symbol in the soft picture, and of all together at least."""
PATH = {"color": "#38d1ff", "linewidth": 1.1}
"""The best path, on dark images on any page."""


def draw_alignment(aligned: AlignedExample, example: Example, run: tuple[int, str], name: str) -> Html:
    """Draw where a run finds the text, and say how well that fits what is known.

    `run`: its place on the page, and what the page calls it. `name` is unique on the page.
    """
    symbols = [place for place, symbol in enumerate(aligned.rows) if symbol]
    soft = max(LEAST, ROW * len(symbols))
    layer = example.layers[0]
    frames = min(len(aligned.path), len(layer.values))
    edges, rows = frame_edges(layer, frames), len(aligned.rows)
    times, path = layer.times[:frames], aligned.path[:frames] + 1
    spoken = aligned.times if aligned.true is None else aligned.true
    boundaries = np.unique(spoken)

    def paint(hard: Any, shares: Any, words: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        energy = mel_spectrogram(example.waveform, example.sample_rate)
        how = {"cmap": "magma", "vmin": energy.max() - LOUDNESS_RANGE, "extent": (0.0, example.duration, 0.5, rows + 0.5)}
        hard.imshow(energy, origin="lower", aspect="auto", **how)
        begins = np.flatnonzero(np.diff(path, prepend=0))
        for frame in begins:
            if symbol := aligned.rows[path[frame] - 1]:
                hard.text(times[frame], path[frame], symbol, fontsize=SMALL, color="white", ha="right", va="bottom")
        image_over_time(shares, aligned.shares[:frames].T, edges, cmap="magma", vmin=0.0)
        for axes in (hard, shares):
            axes.vlines(boundaries, 0.5, rows + 0.5, **BOUNDARY)
            axes.step(times, path, where="mid", **PATH)
            axes.set(xlim=(0.0, example.duration), ylim=(0.5, rows + 0.5), yticks=[])
        # Neighbors in two columns: a row is less high than a letter.
        shares.set_yticks(
            [place + 1 for place in symbols],
            labels=[aligned.rows[place] + "\N{EM SPACE}" * (number % 2) for number, place in enumerate(symbols)],
            fontsize=SMALL,
        )
        shares.tick_params(axis="y", length=0)
        for word in _shown(aligned, aligned.times, example):
            words.axvspan(word.start, word.end, color=series_color(run[0]), alpha=0.2, linewidth=0)
            words.text(word.middle, 0.5, word.label, fontsize=SMALL, color=INK, ha="center", va="center")
        words.set(ylim=(0.0, 1.0), yticks=[])
        words.spines["left"].set_visible(False)

    with_words = replace(example, phones=() if aligned.true is None else _shown(aligned, aligned.true, example))  # words in their place
    description = f"Where {run[1]} finds the text of {example.id}"
    picture = draw_over_time(name, description, (SPECTROGRAM, soft, WORDS), with_words, paint)
    return join([picture, tag("p", _caption(aligned, example), class_="caption")])


def _shown(aligned: AlignedExample, times: NDArray[np.float64], example: Example) -> tuple[Phone, ...]:
    """The words at times (W, 2), as far as the example is drawn."""
    shown = zip(times.tolist(), aligned.words, strict=True)
    return tuple(Phone(begin, min(end, example.duration), word) for (begin, end), word in shown if begin < example.duration)


def _caption(aligned: AlignedExample, example: Example) -> str:
    what = f"Above, the best path over the spectrogram; then the {aligned.meaning}, and the words as they are found"
    if aligned.true is None:
        return f"{what}. Where they are spoken is not known: the lines are those of the alignment itself."
    found, control = fit(aligned.times, aligned.true), fit(uniform(aligned.words, example.whole), aligned.true)
    return (
        f"{what}; below and as lines, where they are spoken. Boundaries of words are {1000 * found.error:.0f} ms off on average, and "
        f"{found.inside:.0%} of the time that they are spoken in is given to the right word. Words laid out evenly, as long as their "
        f"letters: {1000 * control.error:.0f} ms and {control.inside:.0%}."
    )
