"""The section on synthesized speech: what belongs together, one below the other, each to be played, with its spectrogram.

Sounds stand beside a run, in artifacts/sounds-1.npz and so on: `title`, `text` (what is said, if that is known), `sample_rate`,
`names (n,)`, `notes (n,)` and `sound_1 (S,)` to `sound_n (S,)`, int16.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import draw
from foresay.reports.example import flac
from foresay.reports.markup import Html, join, tag
from foresay.reports.record import Record
from foresay.reports.speech import LOUDNESS_RANGE, mel_spectrogram
from foresay.reports.wording import span

HEIGHT, WIDTH = 0.7, 5.0
"""Inches of a spectrogram."""
QUIETEST = -60.0
"""Decibels that are bright, at least: nothing is to be seen in silence."""


def sounds_section(records: Sequence[Record]) -> Html:
    """Show the sounds of all runs; nothing, where there are none."""
    groups = [(record.name, arrays) for record in records for arrays in record.sounds]
    several = len({name for name, _ in groups}) > 1
    parts = [_group(arrays, name if several else "", number) for number, (name, arrays) in enumerate(groups, start=1)]
    note = "All of it was synthesized but what is called recorded. The spectrograms of an utterance share one time axis."
    return join([tag("p", note, class_="caption"), *parts]) if parts else Html("")


def _group(arrays: Mapping[str, NDArray[Any]], run: str, number: int) -> Html:
    """Sounds that belong together, to be folded away."""
    rate, title, text = int(arrays["sample_rate"]), str(arrays["title"]), str(arrays.get("text", ""))
    sounds = [np.asarray(arrays[f"sound_{place}"]) for place in range(1, len(arrays["names"]) + 1)]
    longest = max((len(sound) for sound in sounds), default=0) / rate
    said = f"\N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK}" if text else title
    rows = [
        _sound(str(name), str(note), sound, rate, longest, f"sound-{number}-{place}")
        for place, (name, note, sound) in enumerate(zip(arrays["names"], arrays["notes"], sounds, strict=True), start=1)
    ]
    heading = tag("p", *([tag("strong", run), ": "] if run else []), tag("code", title), class_="caption")
    return tag("details", tag("summary", said), heading, *rows, open=number == 1)


def _sound(name: str, note: str, samples: NDArray[np.int16], rate: int, longest: float, key: str) -> Html:
    """A sound (S,): what it is, a player, and its spectrogram on the time axis of the longest."""
    seconds = len(samples) / rate

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        energy = mel_spectrogram(samples.astype(np.float32) * np.float32(2**-15), rate, bands=48)
        loudest = max(float(energy.max()), QUIETEST)
        colors = {"cmap": "magma", "vmin": loudest - LOUDNESS_RANGE, "vmax": loudest}
        axes.imshow(energy, origin="lower", aspect="auto", extent=(0.0, seconds, 0.0, 1.0), **colors)
        axes.set_xlim(0.0, longest)

    about = join([tag("strong", name), tag("span", f"{note}, {span(seconds)}" if note else span(seconds), class_="note")])
    player = tag("audio", controls=True, preload="metadata", src=flac(samples, rate))
    picture = draw(key, f"Spectrogram of {name}", (WIDTH, HEIGHT), paint, class_="picture") if len(samples) else Html("")
    return tag("div", tag("p", about), player, picture, class_="sound")
