"""One utterance as a model hears it, kept in the run for reports to draw: `artifacts/example.npz`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Batch, FeatureExtractor, SpeechModel
from foresay.corpora.manifest import Item, Manifest

SHORTEST, LONGEST = 2.0, 6.0
"""Seconds: enough to see phones in, little enough to see them."""


def example(extractor: FeatureExtractor, manifest: Manifest, device: str = "cpu") -> Mapping[str, NDArray[Any]] | None:
    """Hear the first utterance of 2 to 6 s that has phones; None if there is none.

    Arrays: `id`, `text`, `waveform (S,)`, `sample_rate`, `phone_starts`, `phone_ends` (P,) in seconds, `phone_labels (P,)`,
    `first_center_seconds`; of each layer `features_LAYER (T, D)` and `frame_rate_LAYER`; each tensor of `inspect` as `inspect_NAME`.
    """
    fitting = np.flatnonzero((manifest.durations >= SHORTEST) & (manifest.durations <= LONGEST)).tolist()
    place = next((place for place, index in enumerate(fitting) if manifest[index].phones), None)
    if place is None:
        return None
    index = fitting[place]
    waveform = manifest.read(index, extractor.sample_rate)
    arrays = {**_spoken(manifest[index]), "waveform": waveform, "sample_rate": np.array(extractor.sample_rate)}
    arrays |= _heard(extractor, torch.from_numpy(waveform)[None].to(device))
    if isinstance(extractor, SpeechModel):
        company = [fitting[(place + i) % len(fitting)] for i in range(extractor.group)]
        arrays |= _inspected(extractor, _group(manifest, company, extractor.sample_rate, len(waveform)).to(device))
    return arrays


def _spoken(item: Item) -> dict[str, NDArray[Any]]:
    phones = item.phones or ()
    return {
        "id": np.array(item.id),
        "text": np.array(item.text or ""),
        "phone_starts": np.array([phone.start for phone in phones]),
        "phone_ends": np.array([phone.end for phone in phones]),
        "phone_labels": np.array([phone.label for phone in phones]),
    }


@torch.no_grad()
def _heard(extractor: FeatureExtractor, waveforms: Tensor) -> dict[str, NDArray[Any]]:
    frames = extractor.features(waveforms, torch.tensor([waveforms.shape[1]], device=waveforms.device))
    arrays: dict[str, NDArray[Any]] = {"first_center_seconds": np.array(extractor.first_center / extractor.sample_rate)}
    for layer, values in frames.values.items():
        arrays[f"features_{layer}"] = values[0, : int(frames.lengths[layer][0])].float().cpu().numpy()
        arrays[f"frame_rate_{layer}"] = np.array(frames.frame_rate[layer])
    return arrays


def _group(manifest: Manifest, indices: Sequence[int], sample_rate: int, samples: int) -> Batch:
    """Put utterances side by side, for what a model makes of one may depend on its group (negatives): all of the first one's length."""
    waveforms = np.stack([np.resize(manifest.read(index, sample_rate), samples) for index in indices])  # cut, or begun again
    return Batch(
        ids=tuple(manifest.ids[index] for index in indices),
        waveforms=torch.from_numpy(waveforms),
        lengths=torch.full((len(indices),), samples),
        keys=torch.arange(len(indices)),
        speakers=torch.from_numpy(manifest.speaker_codes[list(indices)].astype(np.int64)),
    )


@torch.no_grad()
def _inspected(model: SpeechModel, batch: Batch) -> dict[str, NDArray[Any]]:
    return {f"inspect_{name}": tensor[0].float().cpu().numpy() for name, tensor in model.inspect(batch).items()}
