"""The section on example utterances: play one, and compare the features of each run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from foresay.reports.alignments import draw_alignment
from foresay.reports.canvas import legend
from foresay.reports.example import Example, Layer, flac, read_example
from foresay.reports.markup import Html, join, tag
from foresay.reports.record import Record
from foresay.reports.speech import (
    LEFT,
    RIGHT,
    cosine_similarity,
    draw_codes,
    draw_similarity,
    draw_speech,
    excerpt,
    excerpt_frames,
    neighbors_alike,
)
from foresay.reports.tensors import MEANINGS, draw_tensor
from foresay.reports.wording import MINUS, listed, span


class Listening(NamedTuple):
    """An example and the run that encoded it."""

    run: int
    """Its place on the page."""
    name: str
    example: Example


def listening_section(records: Sequence[Record]) -> Html:
    """Show every distinct example once, with the figures of all runs that encoded it."""
    read = [(place, record, read_example(arrays)) for place, record in enumerate(records) for arrays in record.examples]
    found = [(place, record, example) for place, record, example in read if example is not None]
    groups: list[list[Listening]] = []
    for place, record, example in found:
        group = next((g for g in groups if _same(g[0].example, example)), None)
        if group is None:
            group = []
            groups.append(group)
        group.append(Listening(place, record.name, example))
    parts = [_utterance(group, number) for number, group in enumerate(groups, start=1)]
    shown = {place for place, _, _ in found}
    without = [one.name for place, one in enumerate(records) if one.has_audio and not one.sounds and place not in shown]
    if without:
        note = join([f"There is no example of {listed(without)} yet: ", tag("code", "foresay evaluate"), " keeps one, for the pictures."])
        parts.append(tag("p", note, class_="missing"))
    return join(parts or [tag("p", "Trained on pictures, which make no sound.", class_="missing")])


def _utterance(group: Sequence[Listening], number: int) -> Html:
    """One utterance, to be folded away: player, spectrogram, phones, codes; self-similarity; what each model holds worth drawing."""
    example, name = group[0].example, f"example-{number}"
    said = f"\N{LEFT DOUBLE QUOTATION MARK}{example.text}\N{RIGHT DOUBLE QUOTATION MARK}" if example.text else example.id
    parts = [
        *_heading(example),
        tag("audio", controls=True, preload="auto", src=flac(example.waveform.clip(-1.0, 1.0), example.sample_rate)),
        draw_speech(example, f"{name}-speech"),
        *_alignments(group, name),
        *_codes(group, name),
        *_similarities(group, name),
        *_inspected(group, name),
    ]
    where = {"data_left": str(LEFT), "data_right": str(RIGHT), "data_seconds": f"{example.duration:.6f}"}
    return tag("details", tag("summary", said), *parts, class_="example", open=number == 1, **where)


def _heading(example: Example) -> list[Html]:
    """Where it comes from, and what is missing of it."""
    cut = f", of which the first {span(example.duration)} are shown" if example.whole > example.duration else ""
    phones = "" if example.phones else " It has no phone times, so the pictures show no phones."
    hint = tag("span", " Click on a figure to play from there.", class_="hint")
    return [tag("p", tag("code", example.id), f", {span(example.whole)}{cut}.{phones}", hint, class_="caption")]


def _alignments(group: Sequence[Listening], name: str) -> list[Html]:
    """Where each recognizer finds the transcript."""
    found = [(listening, listening.example.aligned) for listening in group]
    shown = [(listening, aligned) for listening, aligned in found if aligned is not None]
    pictures = [
        join(
            [
                *([tag("h4", one.name)] if len(group) > 1 else []),
                draw_alignment(aligned, one.example, (one.run, one.name), f"{name}-{one.run}-aligned"),
            ]
        )
        for one, aligned in shown
    ]
    return [tag("h3", "Where is the text?"), *pictures] if pictures else []


def _codes(group: Sequence[Listening], name: str) -> list[Html]:
    """The clusters that each layer's frames fall into, a row each."""
    rows = [(listening.run, layer) for listening in group for layer in listening.example.layers if layer.codes is not None]
    if not rows:
        return []
    text = (
        "The k-means cluster of each frame, a row for each layer; equal colors and numbers within a row are the same cluster. "
        "A code that follows the phones changes where they do, and returns where the phone returns."
    )
    head = [tag("h3", "As discrete units"), tag("p", text, class_="caption")]
    if len(group) > 1:
        head.append(legend({listening.run: listening.name for listening in group}))
    return [*head, draw_codes(rows, group[0].example, f"{name}-codes")]


def _similarities(group: Sequence[Listening], name: str) -> list[Html]:
    """The self-similarity of each layer, the runs side by side and in one scale."""
    layers = list(dict.fromkeys(layer.name for listening in group for layer in listening.example.layers))
    if not layers:
        return []
    pictures: list[list[Html]] = []
    for number, layer_name in enumerate(layers):
        shown = [(h, layer) for h in group for layer in h.example.layers if layer.name == layer_name]
        shown = [(h, layer) for h, layer in shown if excerpt_frames(layer, h.example).any()]
        lowest = min((_lowest(layer, listening.example) for listening, layer in shown), default=0.0)
        if not pictures or len(group) > 1:
            pictures.append([])  # a row of its own for each layer, where runs are to be compared
        for listening, layer in shown:
            title = _titled(listening, group, f"layer {layer.name}")
            picture = draw_similarity(layer, listening.example, lowest, f"{name}-{listening.run}-similarity-{number}", title)
            caption = tag("figcaption", tag("strong", title), ". ", _steadiness(layer, listening.example))
            pictures[-1].append(tag("figure", picture, caption))
    start, end = excerpt(group[0].example)
    text = (
        f"Cosine similarity of every pair of frames between {start:.1f} and {end:.1f} s; the white lines are phone boundaries. "
        "Bright blocks along the diagonal that fit the phones mean that a layer separates the phones; "
        "stripes mean that it marks time (arXiv:2104.11946, Figure 2)."
    )
    rows = (tag("div", *row, class_="panels") for row in pictures)
    return [tag("h3", "How alike are its frames?"), tag("p", text, class_="caption"), *rows]


def _inspected(group: Sequence[Listening], name: str) -> list[Html]:
    parts = []
    for listening in group:
        for number, (key, array) in enumerate(listening.example.inspected.items()):
            meaning = MEANINGS.get(key)
            title = meaning.title if meaning else key.replace("_", " ").capitalize()
            parts.append(tag("h3", _titled(listening, group, title)))
            if meaning:
                parts.append(tag("p", meaning.caption, class_="caption"))
            parts.append(draw_tensor(key, array, listening.example, f"{name}-{listening.run}-inspected-{number}"))
    return parts


def _titled(listening: Listening, group: Sequence[Listening], title: str) -> str:
    """The title of a picture, after the run's name where there are several."""
    return f"{listening.name}: {title}" if len(group) > 1 else title


def _lowest(layer: Layer, example: Example) -> float:
    """The dark end of the colors: all but the hundredth part of the pairs are more alike."""
    return float(np.percentile(cosine_similarity(layer.values[excerpt_frames(layer, example)]), 1.0))


def _steadiness(layer: Layer, example: Example) -> str:
    """How alike consecutive frames are inside phones and across their boundaries, in words."""
    alike = neighbors_alike(layer, example.boundaries)
    if alike is None:
        return ""
    inside, across = (f"{cosine:.2f}".replace("-", MINUS) for cosine in alike)
    return f"Consecutive frames: cosine {inside} inside phones, {across} across their boundaries."


def _same(one: Example, other: Example) -> bool:
    return one.id == other.id and one.sample_rate == other.sample_rate and np.array_equal(one.waveform, other.waveform)
