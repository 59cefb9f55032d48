"""The section on the example utterance: hear it, see it, and see what each run made of it."""

from collections.abc import Sequence

from foresay.reports.markup import Html, join, tag
from foresay.reports.record import Record
from foresay.reports.speech import (
    LEFT,
    RIGHT,
    Example,
    draw_speech,
    flac,
    read_example,
)
from foresay.reports.tensors import draw_tensor
from foresay.reports.wording import listed


def hearing_section(records: Sequence[Record]) -> Html:
    """Every distinct example once, with the pictures of all runs that heard it."""
    examples = [(place, record, read_example(record.example or {})) for place, record in enumerate(records)]
    without = [record.name for _, record, example in examples if example is None]
    parts = []
    groups: list[list[tuple[int, Record, Example]]] = []
    for place, record, example in examples:
        if example is None:
            continue
        group = next((g for g in groups if _same(g[0][2], example)), None)
        if group is None:
            groups.append(group := [])
        group.append((place, record, example))
    parts = [_utterance(group, f"example-{number}") for number, group in enumerate(groups, start=1)]
    if without:
        note = f"There is no example of {listed(without)} yet: `foresay evaluate` keeps one (artifacts/example.npz) for this section."
        parts.append(tag("p", note, class_="missing"))
    return join(parts)


def _utterance(group: Sequence[tuple[int, Record, Example]], name: str) -> Html:
    """One utterance: player, waveform, spectrogram and phones; then self-similarity and what was inspected, run by run."""
    example = group[0][2]
    several = len(group) > 1
    parts = [_header(example), tag("audio", controls=True, preload="auto", src=flac(example)), _timeline(draw_speech(example, f"{name}-speech"))]
    if not example.phones:
        parts.append(tag("p", "The example has no phone times, so the pictures show no phones.", class_="missing"))
    layers = [(place, record, heard, layer) for place, record, heard in group for layer in heard.layers]
    if layers:
        parts += [tag("h3", "How alike are its frames?"), tag("p", _similarity_text(example))]
        names = dict.fromkeys(layer.name for *_, layer in layers)
        pictures = [
            _similarity(record, heard, layer, _lowest([(h, y) for _, _, h, y in layers if y.name == layer_name]), f"{name}-{place}-{layer.name}", several)
            for layer_name in names
            for place, record, heard, layer in layers
            if layer.name == layer_name
        ]
        parts.append(tag("div", *pictures, class_="panels"))
    for place, record, heard in group:
        for key, array in heard.inspected.items():
            title = f"{record.name}: " if several else ""
            parts.append(tag("div", draw_tensor(key, array, heard, f"{name}-{place}-{key}", title)))
    return tag("div", *parts, class_="example", data_left=str(LEFT), data_right=str(RIGHT), data_seconds=f"{example.duration:.6f}")
