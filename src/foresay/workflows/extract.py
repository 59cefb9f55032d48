"""Feature extraction: a file of features for each recording."""

import json
from collections.abc import Callable, Iterator, Sequence
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
from foresay.encoding.parts import Cutting
from foresay.errors import AudioError, UserError, nearest
from foresay.files import make_folder, write_list, write_text, writing
from foresay.fingerprint import fingerprint, of_model
from foresay.loading import load_extractor
from foresay.locks import exclusive
from foresay.progress import ProgressBar
from foresay.results import read_lines
from foresay.training.devices import find_process

INDEX = "index.jsonl"
LEFT_OUT = "left-out.txt"
LONGEST_NAME = 200


@dataclass(frozen=True)
class Extraction:
    """What was done."""

    index: Path
    written: int
    there: int
    """Recordings that had been written before."""
    failures: tuple[str, ...]
    """Why recordings were left out, one message each, as in the file `left-out.txt` beside the index."""


class _Recording(NamedTuple):
    id: str
    content: str
    """What it would not have, were it another one: its length, or its file's size."""
    length: Callable[[], int]
    """Samples at the model's rate."""
    read: Callable[[int, int], NDArray[np.float32]]
    """From one sample to another."""


def extract(model: str | Path, source: str | Path, dest: str | Path, *, layer: str, device: str | None = None) -> Extraction:
    """Write `layer` of every recording of `source` (a file, a folder, or a manifest) into `dest`, and `index.jsonl` beside.

    Each recording becomes a `.npy` of (T, D) float32; a line of the index says its id, file, frames, frame rate and the time of frame 0.
    Files are whole or not there; given again, the command goes on where it was. What cannot be read is left out, reported and listed in
    `left-out.txt`. Long recordings are encoded and written in parts, so an hour takes hardly more memory than a minute.
    """
    place = str(find_process(device).device)
    extractor = load_extractor(model, place)
    if not isinstance(extractor, FeatureExtractor) or "audio" not in extractor.modalities:
        msg = f"{model} takes images and no audio, and features are extracted from audio"
        raise UserError(msg)
    if layer not in extractor.layer_names:
        msg = f"{model} has no layer {layer!r}: {nearest(layer, extractor.layer_names)}"
        raise UserError(msg)
    index = Path(dest) / INDEX
    made_by = fingerprint(of_model(extractor), layer)
    recordings = list(_recordings(Path(source), extractor.sample_rate))
    if not recordings:
        msg = f"there is no audio in {source}: it takes a file, a folder with audio at any depth, or a manifest (.jsonl)"
        raise UserError(msg)
    about = {
        "frame_rate": extractor.sample_rate / extractor.hop(layer),
        "first_center": extractor.first_center / extractor.sample_rate,
        "layer": layer,
        "model": str(model),
        "fingerprint": made_by,
    }
    with exclusive(index.parent, "Wait until it has ended, or choose another folder"):
        done = _begin(index, made_by)
        missing = [recording for recording in recordings if done.get(recording.id) != recording.content]
        there, failures = len(recordings) - len(missing), list[str]()
        with index.open("a", encoding="utf-8") as lines:
            for recording in ProgressBar(missing, f"extracting {layer}", "recording", leave=True):
                file = safe_name(recording.id, "npy")
                try:
                    frames, size = _write(index.parent / file, extractor, layer, recording, place)
                except AudioError as error:
                    failures.append(f"{recording.id}: {error}")
                    continue
                line = {"id": recording.id, "file": file, "frames": frames, **about, "bytes": size, "content": recording.content}
                lines.write(json.dumps(line) + "\n")
                lines.flush()
        _list_failures(index.parent / LEFT_OUT, failures)
        return Extraction(index, len(missing) - len(failures), there, tuple(failures))


def _recordings(source: Path, rate: int) -> Iterator[_Recording]:
    """Find the recordings. Recordings of a folder are named by their path in it, without the ending."""
    if source.suffix == ".jsonl":
        manifest = Manifest.open(source)
        for place, (name, count) in enumerate(zip(manifest.ids, manifest.lengths(rate).tolist(), strict=True)):
            yield _Recording(name, f"{count} samples", partial(int, count), partial(manifest.read, place, rate))
        return
    paths = list(files(source, READABLE | UNREADABLE)) if source.is_dir() else [source]
    base = source if source.is_dir() else source.parent
    named = {path.relative_to(base).with_suffix("").as_posix(): path for path in paths}
    if len(named) < len(paths):
        twice = next(path for path in paths if path not in named.values())
        msg = f"{twice} differs from another file in its ending only, so both would be given one name: extract from a manifest instead"
        raise UserError(msg)
    for name, path in named.items():
        size = path.stat().st_size if path.is_file() else 0
        yield _Recording(name, f"{size} bytes", partial(_length, path, rate), partial(read_audio, path, rate))


def _length(path: Path, rate: int) -> int:
    info = audio_info(path)
    return resampled_length(info.frames, info.sample_rate, rate)


def _begin(index: Path, made_by: str) -> dict[str, str]:
    """Return what was written before, and of what; write the index anew without lines that were cut short or have lost their file."""
    lines = list(read_lines(index))
    for number, line in enumerate(lines, start=1):
        if not {"id", "file", "bytes", "content", "fingerprint", "layer", "model"} <= line.keys():
            msg = (
                f"{index}, line {number} is no line of this version's index: was it edited, or written by an older version? Choose another "
                "folder, or delete this one"
            )
            raise UserError(msg)
    if any(line["fingerprint"] != made_by for line in lines):
        before = lines[0]
        msg = (
            f"{index.parent} holds layer {before['layer']} of {before['model']}, not what is asked for now (or that model has been trained "
            "further since): choose another folder, or delete this one"
        )
        raise UserError(msg)
    whole = {line["id"]: line for line in lines if _size(index.parent / line["file"]) == line["bytes"]}  # of two the later
    make_folder(index.parent)
    write_text(index, "".join(json.dumps(line) + "\n" for line in whole.values()))
    return {name: line["content"] for name, line in whole.items()}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


@torch.no_grad()
def _write(path: Path, extractor: FeatureExtractor, layer: str, recording: _Recording, device: str) -> tuple[int, int]:
    """Encode one recording and write its features (T, D), part after part; return T and the bytes written."""
    length = recording.length()
    frames = int(extractor.frame_count(torch.tensor([length]), layer))
    if not frames:
        msg = f"{length} samples at {extractor.sample_rate} Hz are too few for one frame"
        raise AudioError(msg)
    with writing(path) as file:
        for number, part in enumerate(Cutting(extractor, [layer]).encode(recording.read, length, device)):
            features = part[layer].float().cpu().numpy()
            if not np.isfinite(features).all():
                msg = f"{layer} is not finite: if others are left out for that too, the model has diverged (its metrics.jsonl says when)"
                raise AudioError(msg)
            if not number:
                header = {"descr": "<f4", "fortran_order": False, "shape": (frames, features.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(features.astype("<f4").tobytes())  # not tofile, whose errors do not say that the disk is full
    return frames, path.stat().st_size


def _list_failures(path: Path, failures: Sequence[str]) -> None:
    """Write down what was left out, a line each; where nothing was, take the list of an earlier time away."""
    if failures:
        write_list(path, failures)
    else:
        path.unlink(missing_ok=True)


def safe_name(name: str, ending: str) -> str:
    """Make a file name of any id, different ones of different ids; a long one is cut and its digest added."""
    quoted = quote(name, safe="", errors="surrogateescape")
    short = quoted if len(quoted) <= LONGEST_NAME else f"{quoted[:LONGEST_NAME]}-{fingerprint(name)}"
    return f"{short}.{ending}"
