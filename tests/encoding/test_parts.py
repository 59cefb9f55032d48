"""Recordings longer than half a minute: parts of them are joined on one even clock, for every model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.building import build
from foresay.contracts import FeatureExtractor
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding import parts
from foresay.encoding.labels import make_labels
from foresay.encoding.parts import Cutting
from foresay.encoding.passes import CorpusPasses
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings

RATE = 16_000
SMALL = {"channels": 16, "size": 16, "layers": 2, "heads": 2, "inner": 32, "position_kernel": 16, "position_groups": 2}
MODELS: dict[str, dict[str, object]] = {
    "cpc": {"channels": 32, "context_size": 32},
    "wav2vec": {"channels": 16, "context_size": 16},
    "multimodal_cpc": {"modalities": "audio", "channels": 16, "context_size": 16},
    "wav2vec2": SMALL | {"target_size": 8, "codes": 4, "code_size": 8},
    "hubert": SMALL | {"target_size": 8, "classes": 8},
    "best_rq": {"size": 16, "layers": 2, "heads": 2, "inner": 32},
}
"""One of each way to make frames; further models have the encoder of one of these."""


def build_small(name: str) -> FeatureExtractor:
    if name not in MODELS:
        return load(name)
    torch.manual_seed(0)
    return build({"name": name, **MODELS[name]}).eval()


def write_noise(path: Path, *seconds: float, rate: int = RATE) -> Manifest:
    """Recordings of some length each, of noise whose loudness changes."""
    items = []
    for number, length in enumerate(seconds):
        samples = round(length * rate)
        waveform = np.random.default_rng(number).normal(size=samples) * 0.1 * (1.1 + np.sin(np.arange(samples) / rate * 5))
        soundfile.write(path.with_name(f"{number}.wav"), waveform, rate)
        items.append(Item(str(number), path.with_name(f"{number}.wav"), duration=samples / rate, sample_rate=rate, speaker="s"))
    write_manifest(path, items)
    return Manifest.open(path)


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 1.0)
    monkeypatch.setattr(parts, "CONTEXT", 0.5)


@torch.no_grad()
def whole(extractor: FeatureExtractor, waveform: np.ndarray, layer: str) -> torch.Tensor:
    return extractor.features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]), [layer]).values[layer][0]


@pytest.mark.parametrize("name", ["mfcc", "logmel", *MODELS])
@pytest.mark.usefixtures("short_parts")
def test_as_many_frames_as_the_whole_at_their_times(tmp_path: Path, name: str) -> None:
    extractor = build_small(name)
    lengths = [0.4, 5.0, 2.0, 3.333, 2.0001, 4.0 + 399 / RATE, 0.7]
    manifest = write_noise(tmp_path / "m.jsonl", *lengths)
    for recording in encode_recordings(Subject(name, extractor, extractor.layer_names), manifest):
        samples = torch.tensor([round(lengths[recording.index] * RATE)])
        for layer in extractor.layer_names:
            count = int(extractor.frame_count(samples, layer))
            rate = whole_rate(extractor, layer)
            assert recording.features[layer].shape[0] == len(recording.centers[layer]) == count
            np.testing.assert_allclose(recording.centers[layer], extractor.first_center / RATE + np.arange(count) / rate, atol=1e-9)


def whole_rate(extractor: FeatureExtractor, layer: str) -> float:
    with torch.no_grad():
        return extractor.features(torch.zeros(1, RATE), torch.tensor([RATE]), [layer]).frame_rate[layer]


@pytest.mark.parametrize("name, layer", [("mfcc", "mfcc"), ("logmel", "logmel"), ("cpc", "z"), ("cpc", "c"), ("multimodal_cpc", "z")])
@pytest.mark.usefixtures("short_parts")
def test_with_a_receptive_field_within_the_context_frames_are_those_of_the_whole(
    tmp_path: Path, name: str, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CONTEXT", 0.0)  # then it is one receptive field
    extractor = build_small(name)
    manifest = write_noise(tmp_path / "m.jsonl", 5.0, 0.5, 3.333, 1.9, 7.01)
    for recording in encode_recordings(Subject(name, extractor, (layer,)), manifest):
        expected = whole(extractor, manifest.read(recording.index, RATE), layer)
        torch.testing.assert_close(recording.features[layer], expected, atol=1e-4, rtol=0)


def test_frames_that_attend_to_all_are_nearly_those_of_the_whole(tmp_path: Path) -> None:
    """Of equal norms, the latents of a Transformer see a second and a quarter on either side: less than the context."""
    torch.manual_seed(0)
    model = build({"name": "hubert", **MODELS["hubert"], "norm": "layer", "position_kernel": 128}).eval()
    manifest = write_noise(tmp_path / "m.jsonl", 70.0)
    (recording,) = encode_recordings(Subject("hubert", model, ("L0",)), manifest)
    torch.testing.assert_close(recording.features["L0"], whole(model, manifest.read(0, RATE), "L0"), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mfcc", *MODELS])
@pytest.mark.usefixtures("short_parts")
def test_labels_are_read_back_at_the_frames_they_were_made_of(tmp_path: Path, name: str) -> None:
    assert agreement(tmp_path, name, 6.3) > 0.99  # but for ties in float32


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mfcc", *MODELS])
def test_labels_of_three_minutes_are_read_back(tmp_path: Path, name: str) -> None:
    """Before, agreement was that of chance after the first half minute."""
    assert agreement(tmp_path, name, 185.0) > 0.99


def agreement(folder: Path, name: str, seconds: float) -> float:
    """Label a recording, look the labels up at the times of the whole's frames; return the worst agreement of a tenth of it."""
    extractor = build_small(name)
    layer = extractor.layer_names[-1]
    manifest = write_noise(folder / "m.jsonl", seconds)
    units = KMeansUnits(KMeansUnitsSettings(layer, 16, moved=False), extractor)
    units.fit(CorpusPasses(manifest, 0))
    made = make_labels(units, {"train": manifest}, folder / "labels")["train"]
    (recording,) = encode_recordings(Subject(name, extractor, (layer,)), manifest)
    nearest = torch.cdist(recording.features[layer], units.kmeans.centers).argmin(dim=1).numpy()
    assert len(np.unique(nearest)) > 1
    count = int(extractor.frame_count(torch.tensor([round(seconds * RATE)]), layer))
    times = (extractor.first_center + extractor.hop(layer) * np.arange(count)) / RATE
    return min(tenth.mean() for tenth in np.array_split(made.at(0, times) == nearest, 10))


def test_parts_cover_every_frame_once_and_never_more_than_is_said() -> None:
    for name in ("mfcc", "hubert", "best_rq"):
        cutting = Cutting(extractor := build_small(name), extractor.layer_names)
        hop = cutting.hops[extractor.layer_names[0]]
        for length in (1, cutting.longest, cutting.longest + 1, 2 * cutting.size, 2 * cutting.size + 1, 10_000_001):
            kept, frames_of_all = 0, int(extractor.frame_count(torch.tensor(length), extractor.layer_names[0]))
            for part in cutting.parts(length):
                assert 0 <= part.start <= part.begin
                assert part.start % hop == part.begin % hop == 0
                assert part.begin == kept * hop or kept == frames_of_all  # what remains may be too short for a frame
                assert part.stop - part.start <= cutting.longest
                frames = torch.empty(int(extractor.frame_count(torch.tensor(part.stop - part.start), extractor.layer_names[0])), 1)
                kept += len(part.own(frames, hop))
            assert kept == frames_of_all


def test_the_last_part_is_as_long_as_others() -> None:
    cutting = Cutting(load("logmel"), ["logmel"])
    *_, before, last = cutting.parts(95 * RATE)
    assert (before.start, before.stop, before.begin, before.end) == (57 * RATE, 93 * RATE, 60 * RATE, 90 * RATE)
    assert (last.start, last.stop, last.begin, last.end) == (59 * RATE, 95 * RATE, 90 * RATE, None)


def test_a_receptive_field_fits_into_the_context() -> None:
    extractor = load("logmel")
    extractor.receptive_field = 10 * RATE + 1
    assert Cutting(extractor, ["logmel"]).longest == 30 * RATE + 2 * (10 * RATE + 160)


@pytest.mark.parametrize("name", ["cpc", "hubert"])
@pytest.mark.usefixtures("short_parts")
def test_encoded_alone_or_in_batches_it_is_the_same(tmp_path: Path, name: str) -> None:
    """What `extract` and ABX do, one recording at a time, is what all other measures do."""
    extractor = build_small(name)
    layer = extractor.layer_names[-1]
    manifest = write_noise(tmp_path / "m.jsonl", 5.0, 0.5, 3.3)
    cutting = Cutting(extractor, [layer])
    for recording in encode_recordings(Subject(name, extractor, (layer,)), manifest):
        waveform = manifest.read(recording.index, RATE)
        pieces: Callable[[int, int], np.ndarray] = lambda start, stop, w=waveform: w[start:stop]  # noqa: E731
        alone = torch.cat([part[layer] for part in cutting.encode(pieces, len(waveform), "cpu")])
        torch.testing.assert_close(alone, recording.features[layer], atol=1e-4, rtol=0)


def test_a_corpus_of_clicks_is_reported(tmp_path: Path) -> None:
    manifest = write_noise(tmp_path / "m.jsonl", 0.02, 0.01)
    with pytest.raises(UserError, match=r"none of the 2 recordings of .* lasts 0.025 s"):
        list(encode_recordings(Subject("mfcc", load("mfcc"), ("mfcc",)), manifest))
