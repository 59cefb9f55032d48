"""The example that reports draw."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from foresay.baselines.logmel import LogMel
from foresay.contracts import Emissions
from foresay.corpora.manifest import Interval, Manifest, write_manifest
from foresay.encoding.text_alignment import text_alignment
from foresay.evaluation.example import examples
from foresay.models.recognition.ctc import CTC, CTCSettings
from reference.levels import RATE, trained, write_corpus
from reference.tiny_run import write_run


def test_it_is_the_first_utterance_of_two_to_six_seconds_with_phones(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 8)
    arrays = examples(trained(), manifest)[0]
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
    arrays = examples(model, write_corpus(tmp_path / "m.jsonl", 8))[0]
    frames = len(arrays["features_c"])
    assert arrays["inspect_alignment_posterior"].shape == (frames - 5, 5, 3)
    np.testing.assert_allclose(arrays["inspect_alignment_posterior"].sum(axis=-1), 1.0, atol=1e-4)


def test_a_baseline_has_features_only(tmp_path: Path) -> None:
    arrays = examples(LogMel(), write_corpus(tmp_path / "m.jsonl", 8))[0]
    assert not [name for name in arrays if name.startswith("inspect")]
    assert arrays["features_logmel"].dtype == np.float32


def test_there_may_be_none(tmp_path: Path) -> None:
    assert examples(trained(), write_corpus(tmp_path / "bare.jsonl", 8, labelled=False)) == []
    manifest = write_corpus(tmp_path / "m.jsonl", 8)
    write_manifest(tmp_path / "short.jsonl", [replace(item, duration=1.0) for item in manifest])
    assert examples(trained(), Manifest.open(tmp_path / "short.jsonl")) == []


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    model, manifest = write_run(tmp_path / "run", "acpc", matched=5), write_corpus(tmp_path / "m.jsonl", 8)
    first = examples(model, manifest)
    torch.manual_seed(5)
    for one, other in zip(first, examples(model, manifest), strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])


def test_it_is_of_as_many_speakers_as_there_are(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 24)
    spoken = {item.id: item.speaker for item in manifest}
    found = [str(arrays["id"]) for arrays in examples(LogMel(), manifest)]
    assert len(set(found)) == 3
    assert len({spoken[name] for name in found}) == min(3, len(set(spoken.values())))


def test_codes_are_the_nearest_of_fifty_centers(tmp_path: Path) -> None:
    for arrays in examples(LogMel(), write_corpus(tmp_path / "m.jsonl", 24)):
        codes, features = arrays["codes_logmel"], arrays["features_logmel"].astype(np.float64)
        assert codes.shape == features.shape[:1]
        assert codes.max() < 50
        means = np.stack([features[codes == code].mean(axis=0) for code in np.unique(codes)])
        nearest = np.unique(codes)[((features[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)]
        assert (nearest == codes).mean() > 0.8  # of centers estimated from the utterance alone


def letters(*symbols: str) -> CTC:
    torch.manual_seed(0)
    model = LogMel()
    return CTC(CTCSettings(("<blank>", "|", *symbols)), model).eval()


def test_a_recognizer_says_where_the_transcript_is(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "m.jsonl", 8)
    texts = {item.id: "ab ba" for item in manifest}
    words = (Interval(0.1, 0.5, "AB"), Interval(0.5, 0.9, "BA"))
    items = [replace(item, text=texts[item.id], phones=None, words=words if place % 2 else None) for place, item in enumerate(manifest)]
    write_manifest(tmp_path / "texts.jsonl", items)
    manifest = Manifest.open(tmp_path / "texts.jsonl")
    model, known = letters("a", "b"), {item.id for item in items if item.words}
    found = examples(model, manifest)
    assert len(found) == 3
    for arrays in found:
        frames = len(arrays["features_emissions"])
        emissions = Emissions(torch.from_numpy(arrays["features_emissions"])[None], torch.tensor([frames]))
        expected = text_alignment(model, emissions, "ab ba", len(arrays["waveform"]) / model.sample_rate)
        assert arrays["alignment_rows"].tolist() == list(expected.rows)
        np.testing.assert_allclose(arrays["alignment_shares"], expected.shares, atol=1e-3)
        assert arrays["alignment_path"].tolist() == expected.path.tolist()
        assert arrays["alignment_words"].tolist() == ["ab", "ba"]
        np.testing.assert_allclose(arrays["alignment_times"], [(word.start, word.end) for word in expected.words], atol=1e-6)
        assert ("alignment_true" in arrays) == (arrays["id"].item() in known)
        assert arrays.get("alignment_true", np.array([[0.1, 0.5], [0.5, 0.9]])).tolist() == [[0.1, 0.5], [0.5, 0.9]]
    assert all("lacks" in arrays["not_aligned"].item() for arrays in examples(letters("a"), manifest))
    assert examples(LogMel(), manifest) == []
