"""Whole items as vectors, one of each layer: of a clip, of a picture, or of each half of a pair.

    clip    (S,)        --> audio --> layer (T, D) --.
                                                     +--> `mean` of its frames, or the `last` of them --> (D,)
    picture (3, H, W)   --> image --> layer (P, D) --'

A recording is encoded whole (of one longer than 30 s, in parts), an image in the size that the run was trained on. Of a
corpus of pairs, a model of audio is given the audio, a model of images the images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foresay.contracts import Extractor, Modality
from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.images.read import read_image
from foresay.layers.pooling import Pooling, pooled
from foresay.progress import ProgressBar

BATCH = 32
"""Images that are encoded at once."""
NOUNS: Mapping[Modality, str] = {"audio": "audio", "image": "picture"}


@dataclass(frozen=True)
class ItemProtocol:
    """What of an item's frames is looked at."""

    name: str
    pooling: Pooling


PROTOCOLS: Mapping[str, ItemProtocol] = {"mean": ItemProtocol("mean", "mean"), "last": ItemProtocol("last", "last")}


def shared_modalities(model: Extractor, manifest: Manifest) -> tuple[Modality, ...]:
    """List what a corpus holds that a model can be given."""
    found: list[Modality] = []
    if "audio" in model.modalities and (manifest.durations > 0).any():
        found.append("audio")
    if "image" in model.modalities and manifest.pictured.any():
        found.append("image")
    return tuple(found)


def item_vectors(subject: Subject, manifest: Manifest, pooling: Pooling, device: str = "cpu") -> dict[Modality, dict[str, Tensor]]:
    """Encode every item: modality -> layer -> (N, D) on the CPU, in the manifest's order.

    Raises:
        UserError: there is nothing that the model can be given; an item lacks a half that others have, or is too short; a layer is not
            finite.
    """
    given = shared_modalities(subject.model, manifest)
    if not given:
        takes = " and ".join(f"{NOUNS[modality]}s" if modality == "image" else "audio" for modality in subject.model.modalities)
        msg = f"{subject.name} takes {takes}, and no item of {manifest.name} has any: name another manifest, or another model"
        raise UserError(msg)
    _refuse_halves(manifest, given)
    how = {"audio": _encode, "image": _encode_images}
    return {modality: how[modality](subject, manifest, pooling, device) for modality in given}


def item_labels(manifest: Manifest) -> list[str]:
    """List the class of each item.

    Raises:
        UserError: an item has none.
    """
    labels = [item.label for item in manifest]
    known = [label for label in labels if label is not None]
    if len(known) < len(labels):
        first = manifest.ids[labels.index(None)]
        msg = (
            f"{manifest.name}: item {first!r} has no class ({len(labels) - len(known):,} of {len(labels):,} items have none). Give each "
            f'the key "label", the name of its class; until then only measures that need no classes work (retrieval)'
        )
        raise UserError(msg)
    return known


def _encode(subject: Subject, manifest: Manifest, pooling: Pooling, device: str) -> dict[str, Tensor]:
    vectors: dict[str, list[Tensor]] = {layer: [] for layer in subject.layers}
    encoded = set()
    for recording in encode_recordings(subject, manifest, device):
        for layer, frames in recording.features.items():
            if len(frames):
                vectors[layer].append(pooled(frames[None], torch.tensor([len(frames)]), pooling)[0].cpu())
                encoded.add(recording.index)
    if lacking := sorted(set(range(len(manifest))) - encoded):
        msg = (
            f"{manifest.name}: item {manifest.ids[lacking[0]]!r} is too short for {subject.name} to give a frame "
            f"({manifest.durations[lacking[0]]:.3f} s): leave such items out of the manifest"
        )
        raise UserError(msg)
    return {layer: torch.stack(rows) for layer, rows in vectors.items()}


def _encode_images(subject: Subject, manifest: Manifest, pooling: Pooling, device: str) -> dict[str, Tensor]:
    vectors: dict[str, list[Tensor]] = {layer: [] for layer in subject.layers}
    places = np.array_split(np.arange(len(manifest)), max(1, -(-len(manifest) // BATCH)))
    paths = [item.image for item in manifest]
    for some in ProgressBar(places, f"images, {subject.name}", "batch"):
        pictures = [read_image(path, subject.image_side) for path in (paths[place] for place in some) if path is not None]
        with torch.no_grad():
            frames = subject.image_extractor.image_features(torch.from_numpy(np.stack(pictures)).to(device), subject.layers)
        for layer in subject.layers:
            vectors[layer].append(pooled(frames.values[layer], frames.lengths[layer], pooling).float().cpu())
            if not vectors[layer][-1].isfinite().all():
                msg = f"layer {layer} of {subject.name} is not finite on pictures of {manifest.name}: has the model diverged?"
                raise UserError(msg)
    return {layer: torch.cat(rows) for layer, rows in vectors.items()}


def _refuse_halves(manifest: Manifest, modalities: tuple[Modality, ...]) -> None:
    """Name the first item that lacks what others have: numbers of two modalities are compared on the same items."""
    has = {"audio": manifest.durations > 0, "image": manifest.pictured}
    for modality in modalities:
        lacking = np.flatnonzero(~has[modality])
        if len(lacking):
            msg = (
                f"{manifest.path}: item {manifest.ids[int(lacking[0])]!r} has no {NOUNS[modality]}, and others have one "
                f'({len(lacking):,} of {len(manifest):,} items lack that half). Give them the key "{modality}", or delete their lines'
            )
            raise UserError(msg)
