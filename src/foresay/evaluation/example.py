"""One utterance as a model hears it, kept in the run for reports to draw: `artifacts/example.npz`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foresay.contracts import Batch, FeatureExtractor, SpeechModel
from foresay.corpora.manifest import Item, Manifest

SHORTEST, LONGEST = 2.0, 6.0
"""Seconds: enough to see phones in, little enough to see them."""


def example(extractor: FeatureExtractor, manifest: Manifest, device: str = "cpu") -> Mapping[str, NDArray[Any]] | None:
    """Hear the first utterance of 2 to 6 s that has phones; None if there is none.

    Arrays: `id`, `text`, `waveform (S,)`, `sample_rate`, `phone_starts`, `phone_ends` (P,) in seconds, `phone_labels (P,)`,
    `first_center_seconds`; of each layer `features_LAYER (T, D)` and `frame_rate_LAYER`; each tensor of `inspect` as `inspect_NAME`.
    """
    index = _first(manifest)
    if index is None:
        return None
    item = manifest[index]
    waveform = manifest.read(index, extractor.sample_rate)
    batch = Batch(
        ids=(item.id,),
        waveforms=torch.from_numpy(waveform)[None],
        lengths=torch.tensor([len(waveform)]),
        keys=torch.zeros(1, dtype=torch.int64),
        speakers=torch.tensor([int(manifest.speaker_codes[index])]),
    )
    return {**_spoken(item), "waveform": waveform, "sample_rate": np.array(extractor.sample_rate), **_heard(extractor, batch.to(device))}


def _first(manifest: Manifest) -> int | None:
    fitting = np.flatnonzero((manifest.durations >= SHORTEST) & (manifest.durations <= LONGEST))
    return next((index for index in fitting.tolist() if manifest[index].phones), None)


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
def _heard(extractor: FeatureExtractor, batch: Batch) -> dict[str, NDArray[Any]]:
    assert batch.waveforms is not None  # noqa: S101 - `example` put it there
    assert batch.lengths is not None  # noqa: S101
    frames = extractor.features(batch.waveforms, batch.lengths)
    arrays: dict[str, NDArray[Any]] = {"first_center_seconds": np.array(extractor.first_center / extractor.sample_rate)}
    for layer, values in frames.values.items():
        arrays[f"features_{layer}"] = values[0, : int(frames.lengths[layer][0])].float().cpu().numpy()
        arrays[f"frame_rate_{layer}"] = np.array(frames.frame_rate[layer])
    if isinstance(extractor, SpeechModel):
        arrays |= {f"inspect_{name}": tensor[0].float().cpu().numpy() for name, tensor in extractor.inspect(batch).items()}
    return arrays
