"""Write down what a model hears: a file of features for each recording."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from foresay.audio.read import audio_info, read_audio, resampled_length
from foresay.contracts import FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.corpora.reader import READABLE, UNREADABLE, files
from foresay.errors import AudioError, UserError, nearest
from foresay.evaluation.fingerprint import fingerprint, of_weights
from foresay.evaluation.parts import Cutting
from foresay.loading import load
from foresay.progress import ProgressBar
from foresay.results import read_lines
from foresay.training.devices import find_place

INDEX = "index.jsonl"
LONGEST_NAME = 200


@dataclass(frozen=True)
class Extraction:
    """What was done."""

    index: Path
    written: int
    there: int
    """Recordings that had been written before."""
    failures: tuple[str, ...]
    """Why recordings were left out, one message each."""


class _Recording(NamedTuple):
    id: str
    length: Callable[[], int]
    """Samples at the model's rate."""
    read: Callable[[int, int], NDArray[np.float32]]
    """From one sample to another."""


def extract(model: str | Path, source: str | Path, dest: str | Path, *, layer: str, device: str | None = None) -> Extraction:
    """Write `layer` of every recording of `source` (a file, a folder, or a manifest) into `dest`, and `index.jsonl` beside.

    Each recording becomes a `.npy` of (T, D) float32; a line of the index says its id, file, frames, frame rate and the time of frame 0.
    Files are whole or not there; given again, the command goes on where it was. What cannot be read is left out and told.
    """
    place = str(find_place(device).device)
    extractor: FeatureExtractor = load(model, place)
    if "audio" not in extractor.modalities:
        msg = f"{model} sees pictures and hears no audio, and features are extracted of audio"
        raise UserError(msg)
    if layer not in extractor.layer_names:
        msg = f"{model} has no layer {layer!r}: {nearest(layer, extractor.layer_names)}"
        raise UserError(msg)
    index = Path(dest) / INDEX
    made_by = fingerprint(of_weights(extractor), layer)
    recordings = list(_recordings(Path(source), extractor.sample_rate))
    if not recordings:
        msg = f"there is no audio in {source}: it takes a file, a folder with audio at any depth, or a manifest (.jsonl)"
        raise UserError(msg)
    done = _begin(index, made_by)
    missing = [recording for recording in recordings if recording.id not in done]
    failures: list[str] = []
    with index.open("a", encoding="utf-8") as lines:
        for recording in ProgressBar(missing, f"extracting {layer}", "recording", leave=True):
            try:
                features = _hear(extractor, layer, recording, place)
            except AudioError as error:
                failures.append(f"{recording.id}: {error}")
                continue
            file = _safe_name(recording.id)
            _save(index.parent / file, features)
            line = {
                "id": recording.id,
                "file": file,
                "frames": len(features),
                "frame_rate": extractor.sample_rate / extractor.hop(layer),
                "first_center": extractor.first_center / extractor.sample_rate,
                "layer": layer,
                "model": str(model),
                "fingerprint": made_by,
            }
            lines.write(json.dumps(line) + "\n")
            lines.flush()
    return Extraction(index, len(missing) - len(failures), len(recordings) - len(missing), tuple(failures))


def _recordings(source: Path, rate: int) -> Iterator[_Recording]:
    """Find what there is to hear. Recordings of a folder are named by their path in it, without the ending."""
    if source.suffix == ".jsonl":
        manifest = Manifest.open(source)
        for place, (name, count) in enumerate(zip(manifest.ids, manifest.lengths(rate).tolist(), strict=True)):
            yield _Recording(name, partial(int, count), partial(manifest.read, place, rate))
        return
    paths = list(files(source, READABLE | UNREADABLE)) if source.is_dir() else [source]
    base = source if source.is_dir() else source.parent
    named = {path.relative_to(base).with_suffix("").as_posix(): path for path in paths}
    if len(named) < len(paths):
        twice = next(path for path in paths if path not in named.values())
        msg = f"{twice} differs from another file in its ending only, so both would be given one name: extract from a manifest instead"
        raise UserError(msg)
    for name, path in named.items():
        yield _Recording(name, partial(_length, path, rate), partial(read_audio, path, rate))


def _length(path: Path, rate: int) -> int:
    info = audio_info(path)
    return resampled_length(info.frames, info.sample_rate, rate)


def _begin(index: Path, made_by: str) -> set[str]:
    """Return what was written before, and write the index anew without a line that was cut short or has lost its file."""
    lines = list(read_lines(index))
    if any(line["fingerprint"] != made_by for line in lines):
        before = lines[0]
        msg = (
            f"{index.parent} holds layer {before['layer']} of {before['model']}, not what is asked for now (or that model has been trained "
            "further since): choose another folder, or delete this one"
        )
        raise UserError(msg)
    whole = [line for line in lines if (index.parent / line["file"]).is_file()]
    index.parent.mkdir(parents=True, exist_ok=True)
    unfinished = index.with_suffix(".unfinished")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in whole), encoding="utf-8")
    unfinished.replace(index)
    return {line["id"] for line in whole}


def _hear(extractor: FeatureExtractor, layer: str, recording: _Recording, device: str) -> NDArray[np.float32]:
    """Encode one recording: features (T, D)."""
    count = recording.length()
    if not int(extractor.frame_count(torch.tensor([count]), layer)):
        msg = f"{count} samples at {extractor.sample_rate} Hz are too few for one frame"
        raise AudioError(msg)
    parts = Cutting(extractor, [layer]).encode(recording.read, count, device)
    features = np.concatenate([part[layer].float().cpu().numpy() for part in parts])
    if not np.isfinite(features).all():
        msg = f"{layer} is not finite on {recording.id}: the model has diverged (its metrics.jsonl tells when)"
        raise UserError(msg)
    return features


def _save(path: Path, features: NDArray[np.float32]) -> None:
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, features)
    unfinished.replace(path)


def _safe_name(name: str) -> str:
    """Make a file name of any id, different ones of different ids; a long one is cut and its digest added."""
    quoted = quote(name, safe="")
    short = quoted if len(quoted) <= LONGEST_NAME else f"{quoted[:LONGEST_NAME]}-{fingerprint(name)}"
    return f"{short}.npy"
