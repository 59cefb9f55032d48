"""Features of a few utterances, kept in the run for reports to draw: `artifacts/example-1.npz` and so on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Batch, Encoded, FeatureExtractor, Recognizer, SpeechModel
from foresay.corpora.manifest import Item, Manifest
from foresay.encoding.recordings import draw_recordings, encode_recordings
from foresay.encoding.subjects import Subject
from foresay.encoding.text_alignment import known_times, known_transcript, text_alignment
from foresay.errors import UserError
from foresay.quantizers.kmeans import KMeans

SHORTEST, LONGEST = 2.0, 6.0
"""Seconds: enough to see phones in, little enough to see them."""
MOST = 3
"""Utterances, of as many speakers as there are."""
CODES = 50
"""K of the k-means whose codes are shown, as many as in the reference code's clustering."""
LEARNT_ON = 300.0
"""About so many seconds of the corpus are encoded to fit these codes."""

Arrays: TypeAlias = dict[str, NDArray[Any]]


def examples(extractor: FeatureExtractor, manifest: Manifest, *, seed: int = 0, device: str = "cpu") -> list[Arrays]:
    """Encode a few utterances of 2 to 6 s that have phones or, for a recognizer, a transcript; none if there are none.

    Arrays: `id`, `text`, `waveform (S,)`, `sample_rate`, `phone_starts`, `phone_ends` (P,) in seconds, `phone_labels (P,)`,
    `first_center_seconds`; of each layer `features_LAYER (T, D)`, `frame_rate_LAYER` and, if the corpus has frames enough to find clusters
    in, `codes_LAYER (T,)`; each tensor of `inspect` as `inspect_NAME`, or in `not_inspected` why there are none.
    Of a recognizer where the transcript is (`encoding/text_alignment.py`): `alignment_rows (N,)`, `alignment_shares (T, N)` and what they
    are in `alignment_meaning`, `alignment_path (T,)`, `alignment_words (W,)`, `alignment_times (W, 2)` in seconds and, where they are
    known, the true ones, `alignment_true (W, 2)`; or in `not_aligned` why there is none.
    """
    fitting = np.flatnonzero((manifest.durations >= SHORTEST) & (manifest.durations <= LONGEST)).tolist()
    transcribed = isinstance(extractor, Recognizer)
    chosen = choose_utterances(manifest, fitting, lambda item: bool(item.phones or (transcribed and item.text)))
    codes = _find_codes(extractor, manifest, seed, device) if chosen else {}
    return [_example(extractor, manifest, [*fitting[place:], *fitting[:place]], codes, device) for place in chosen]


def choose_utterances(manifest: Manifest, fitting: Sequence[int], will_do: Callable[[Item], bool]) -> list[int]:
    """Return places in `fitting`: the first utterance that will do of each of the first speakers; of fewer speakers, what follows."""
    first: dict[str | None, int] = {}
    others: list[int] = []
    for place, index in enumerate(fitting):
        item = manifest[index]
        if will_do(item) and item.speaker not in first:
            first[item.speaker] = place
        elif will_do(item):
            others.append(place)
        if len(first) == MOST:
            break
    return [*first.values(), *others][:MOST]


def _find_codes(extractor: FeatureExtractor, manifest: Manifest, seed: int, device: str) -> dict[str, KMeans]:
    """Find clusters of each layer in part of a corpus."""
    encoded = draw_recordings(manifest, LEARNT_ON, seed)
    recordings = list(encode_recordings(Subject("examples", extractor, extractor.layer_names), manifest, device, set(encoded)))
    codes = {}
    for layer in extractor.layer_names:
        frames = torch.cat([recording.features[layer] for recording in recordings])
        if len(frames) >= CODES:
            codes[layer] = KMeans(CODES, frames.shape[1]).to(frames.device)
            codes[layer].fit(frames, seed=seed, restarts=1)
    return codes


def _example(extractor: FeatureExtractor, manifest: Manifest, indices: Sequence[int], codes: Mapping[str, KMeans], device: str) -> Arrays:
    """Encode the first of some utterances; the others are in its batch."""
    waveform = manifest.read(indices[0], extractor.sample_rate)
    arrays = {**_spoken(manifest[indices[0]]), "waveform": waveform, "sample_rate": np.array(extractor.sample_rate)}
    arrays |= _encode(extractor, torch.from_numpy(waveform)[None].to(device), codes)
    if isinstance(extractor, SpeechModel):
        company = [indices[i % len(indices)] for i in range(extractor.group)]
        arrays |= _inspected(extractor, _group(manifest, company, extractor.sample_rate, len(waveform)).to(device))
    if isinstance(extractor, Recognizer):
        arrays |= _aligned(extractor, manifest[indices[0]], torch.from_numpy(waveform)[None].to(device))
    return arrays


def recognized(recognizer: Recognizer, item: Item, waveform: NDArray[np.float32], device: str = "cpu") -> Arrays:
    """Encode one utterance (S,), and find its transcript in it: arrays as `examples` names them, without codes."""
    waveforms = torch.from_numpy(waveform)[None].to(device)
    sound = {"waveform": waveform, "sample_rate": np.array(recognizer.sample_rate)}
    return {**_spoken(item), **sound, **_encode(recognizer, waveforms, {}), **_aligned(recognizer, item, waveforms)}


@torch.no_grad()
def _aligned(recognizer: Recognizer, item: Item, waveforms: Tensor) -> Arrays:
    """Find the transcript of an item in its audio (1, S), and its true times if there are any."""
    (layer,) = recognizer.layer_names
    frames = recognizer.features(waveforms, torch.tensor([waveforms.shape[1]], device=waveforms.device))
    encoded = Encoded(frames.values[layer].float(), frames.lengths[layer].cpu())
    try:
        found = text_alignment(recognizer, encoded, known_transcript(recognizer, item), item.duration)
    except UserError as error:  # a digit, a letter that the vocabulary lacks, too few frames
        return {"not_aligned": np.array(str(error))}
    true = known_times(recognizer, item)
    known = {"alignment_true": np.array([one[:2] for one in true])} if len(true) == len(found.words) else {}
    return known | {
        "alignment_rows": np.array(found.rows),
        "alignment_shares": found.shares.numpy().astype(np.float16),
        "alignment_meaning": np.array(found.meaning),
        "alignment_path": found.path.numpy(),
        "alignment_words": np.array([word.text for word in found.words]),
        "alignment_times": np.array([(word.start, word.end) for word in found.words]),
    }


def _spoken(item: Item) -> Arrays:
    phones = item.phones or ()
    return {
        "id": np.array(item.id),
        "text": np.array(item.text or ""),
        "phone_starts": np.array([phone.start for phone in phones]),
        "phone_ends": np.array([phone.end for phone in phones]),
        "phone_labels": np.array([phone.label for phone in phones]),
    }


@torch.no_grad()
def _encode(extractor: FeatureExtractor, waveforms: Tensor, codes: Mapping[str, KMeans]) -> Arrays:
    frames = extractor.features(waveforms, torch.tensor([waveforms.shape[1]], device=waveforms.device))
    arrays: Arrays = {"first_center_seconds": np.array(extractor.first_center / extractor.sample_rate)}
    for layer, values in frames.values.items():
        features = values[0, : int(frames.lengths[layer][0])].float()
        arrays[f"features_{layer}"] = features.cpu().numpy()
        arrays[f"frame_rate_{layer}"] = np.array(frames.frame_rate[layer])
        if layer in codes:
            arrays[f"codes_{layer}"] = codes[layer].assign(features).cpu().numpy()
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
def _inspected(model: SpeechModel, batch: Batch) -> Arrays:
    try:
        shown = model.inspect(batch)
    except UserError as error:  # it trains on longer windows; its features are there all the same
        return {"not_inspected": np.array(str(error))}
    return {f"inspect_{name}": tensor[0].float().cpu().numpy() for name, tensor in shown.items()}
