"""Labels for frames: the symbol that a tokenizer gives to every frame of a corpus (HuBERT, section II-C).

Features are never written down: one pass over a corpus encodes and labels it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import Tokenizer
from foresay.corpora.alignments import labels_at
from foresay.corpora.labels import ABOUT, LEFT_OUT, FrameLabels, LabelWriter, read_about
from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.recordings import encode_recordings, frame_centers
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError, UserError
from foresay.files import UNFINISHED
from foresay.fingerprint import fingerprint
from foresay.settings import Table
from foresay.statistics.cluster_scores import rate_agreement


def make_labels(tokenizer: Tokenizer, manifests: Mapping[str, Manifest], folder: Path, *, device: str = "cpu") -> dict[str, FrameLabels]:
    """Label the frames of manifests, by name, below `folder`. What is there already is not made again.

    Raises:
        UserError: the tokenizer has several levels, or a manifest no recording to be labelled.
    """
    if tokenizer.levels != 1:
        msg = f"labels are one class per frame, and this tokenizer gives {tokenizer.levels} symbols to each: choose one of a single level"
        raise UserError(msg)
    missing = [name for name, manifest in manifests.items() if not are_made(folder / name, tokenizer.fingerprint, manifest)]
    for name in missing:
        checked_phones(manifests[name])  # before hours of work
    for name in missing:
        _label(tokenizer, manifests[name], folder / name, device)
    for left in (left for name in manifests for left in (folder / name).glob(f"{UNFINISHED}*")):
        left.unlink()  # of one that was stopped when the labels were there
    return {name: FrameLabels(folder / name, manifest) for name, manifest in manifests.items()}


def are_made(folder: Path, tokenizer: str, manifest: Manifest) -> bool:
    """Whether a folder holds the labels of a manifest that the tokenizer of this fingerprint gives."""
    about = read_about(folder)
    return about is not None and about["fingerprint"] == _stamp(tokenizer, manifest)


def find_labels(folder: Path, tokenizer: str, manifest: Manifest) -> FrameLabels | None:
    """Open the labels of a manifest, by the tokenizer of this fingerprint, in one of the folders below `folder`; None: there are none.

    They are of no use where other audio lies behind the same lines, or where they lack recordings that could not be read at that time.
    """
    for path in sorted(folder.glob(f"*/{ABOUT}")):
        labels = path.parent
        if are_made(labels, tokenizer, manifest) and not (labels / LEFT_OUT).exists():
            found = FrameLabels(labels, manifest)
            if found.about.get("sound") == manifest.sound:
                return found
    return None


def _stamp(tokenizer: str, manifest: Manifest) -> str:
    """Digest all that labels depend on."""
    return fingerprint(tokenizer, manifest.digest)


def _label(tokenizer: Tokenizer, manifest: Manifest, folder: Path, device: str) -> None:
    """Name the class of every frame of a corpus and, where it has phones, report how well classes agree with them."""
    encoder, layer, stamp = tokenizer.encoder, tokenizer.layer, _stamp(tokenizer.fingerprint, manifest)
    with LabelWriter(folder, stamp) as writer:
        _write(writer, tokenizer, manifest, device)
        codes, hop = writer.read(), encoder.hop(layer)
        about: Table = {
            "fingerprint": stamp,
            "tokenizer": tokenizer.fingerprint,
            "classes": tokenizer.vocabulary,
            "frame_rate": encoder.sample_rate / hop,
            "first_center": encoder.first_center / encoder.sample_rate,
            "manifest": str(manifest.path.name),
            "data": manifest.digest,
            "sound": manifest.sound,
            "hours": round(float(manifest.durations.sum()) / 3600, 6),
        }
        vocabulary = {label: number for number, label in enumerate(checked_phones(manifest))}
        if vocabulary:
            centers = [frame_centers(encoder, hop, len(part)) for part in codes]
            phones = [labels_at(item.phones or (), times, vocabulary) for item, times in zip(manifest, centers, strict=False)]
            about |= _agreement(codes, phones, tokenizer.vocabulary)
        writer.finish(len(manifest), about)


def _write(writer: LabelWriter, tokenizer: Tokenizer, manifest: Manifest, device: str) -> None:
    """Label the recordings that have not been yet; what cannot be read is left out."""
    unreadable: dict[int, AudioError] = {}

    def leave_out(until: int) -> None:
        for place in [place for place in sorted(unreadable) if writer.done <= place < until]:
            writer.leave_out(place, f"{manifest.ids[place]}: {unreadable[place]}")

    labelled = bool(writer.done)
    subject = Subject("the labels' encoder", tokenizer.encoder, (tokenizer.layer,))
    for recording in encode_recordings(subject, manifest, device, range(writer.done, len(manifest)), unreadable):
        leave_out(recording.index)
        writer.add(recording.index, tokenizer.quantize(recording.features[tokenizer.layer])[:, 0].cpu().numpy())
        labelled = True
    leave_out(len(manifest))
    if not labelled:
        why = f" The first: {next(iter(unreadable.values()))}" if unreadable else ""
        msg = f"{manifest.name} has no recording that can be read and is long enough to be labelled.{why}"
        raise UserError(msg)


def _agreement(codes: list[NDArray[np.uint16]], phones: list[NDArray[np.int64]], clusters: int) -> dict[str, object]:
    """Rate how much labels say about phones (PNMI, section II-C), with its interval over utterances."""
    utterances = np.repeat(np.arange(len(codes)), [len(part) for part in codes])
    rated = rate_agreement(np.concatenate(codes), np.concatenate(phones), utterances, clusters)["PNMI"]
    interval = rated.interval
    return {"pnmi": round(rated.value, 4)} | ({"pnmi_interval": [round(end, 4) for end in interval]} if interval else {})
