"""The example that reports draw."""

from pathlib import Path

import numpy as np
import torch

from foresay.baselines.logmel import LogMel
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.evaluation.example import example
from reference.levels import RATE, trained, write_corpus
from reference.tiny_run import write_run


def test_it_is_the_first_utterance_of_two_to_six_seconds_with_phones(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 8)
    arrays = example(trained(), manifest)
    assert arrays is not None
    (index,) = [i for i, name in enumerate(manifest.ids) if name == arrays["id"].item()]
    assert all(not 2 <= duration <= 6 for duration in manifest.durations[:index])
    item = manifest[index]
    assert arrays["text"].item() == item.text
    np.testing.assert_array_equal(arrays["waveform"], manifest.read(index, RATE))
    assert arrays["sample_rate"] == RATE
    assert arrays["phone_labels"].tolist() == [phone.label for phone in item.phones]
    assert arrays["phone_starts"].tolist() == [phone.start for phone in item.phones]
    assert arrays["phone_ends"].tolist() == [phone.end for phone in item.phones]
    assert arrays["features_level"].shape == arrays["features_nothing"].shape == (len(arrays["waveform"]) // 160, 8)
    assert arrays["frame_rate_level"] == 100.0
    assert arrays["first_center_seconds"] == 79 / RATE
    np.testing.assert_array_equal(arrays["inspect_loudness"], np.abs(arrays["waveform"]))


def test_it_shows_how_acpc_aligns(tmp_path: Path) -> None:
    model = write_run(tmp_path / "run", "acpc", matched=5)
    arrays = example(model, write_corpus(tmp_path / "m.jsonl", 8))
    assert arrays is not None
    frames = len(arrays["features_c"])
    assert arrays["inspect_alignment_posterior"].shape == (frames - 5, 5, 3)
    np.testing.assert_allclose(arrays["inspect_alignment_posterior"].sum(axis=-1), 1.0, atol=1e-4)


def test_a_baseline_has_features_only(tmp_path: Path) -> None:
    arrays = example(LogMel(), write_corpus(tmp_path / "m.jsonl", 8))
    assert arrays is not None
    assert not [name for name in arrays if name.startswith("inspect")]
    assert arrays["features_logmel"].dtype == np.float32


def test_there_may_be_none(tmp_path: Path) -> None:
    assert example(trained(), write_corpus(tmp_path / "bare.jsonl", 8, labelled=False)) is None
    manifest = write_corpus(tmp_path / "m.jsonl", 8)
    write_manifest(tmp_path / "short.jsonl", [item for item in manifest if item.duration < 2])
    assert example(trained(), Manifest.open(tmp_path / "short.jsonl")) is None


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    model, manifest = write_run(tmp_path / "run", "acpc", matched=5), write_corpus(tmp_path / "m.jsonl", 8)
    first = example(model, manifest)
    torch.manual_seed(5)
    second = example(model, manifest)
    assert first is not None
    assert second is not None
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
