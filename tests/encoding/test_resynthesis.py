"""Recordings taken apart and spoken again: what changes what, and that pieces of a long recording are the recording."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Resynthesizer, pieces_of, shuffling, spoken_again, unchanged
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError, UserError
from foresay.loading import load
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 4)


@pytest.fixture(scope="module")
def model(corpus: Manifest) -> ToySynthesizer:
    return toy_synthesizer(corpus)


def sung(seconds: float = 1.0, hertz: float = 200.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(16_000 * seconds)) / 16_000)).astype(np.float32)


def test_a_recording_is_spoken_from_its_units_pitch_and_voice(corpus: Manifest, model: ToySynthesizer) -> None:
    waveform = corpus.read(0, 16_000)
    (piece,) = Resynthesizer(model).analyze(waveform, "speaker 1")
    alone = model.tokenizer.encode(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    assert torch.equal(piece.units.ids, alone.ids)
    assert piece.voice.tolist() == [[0.0, 1.0]]
    expected = model.synthesize(alone, torch.tensor([[0.0, 1.0]]), piece.pitch).waveforms[0].detach().numpy()
    spoken = Resynthesizer(model).speak([piece])
    assert len(spoken) == len(waveform)
    assert np.array_equal(spoken[: len(expected)], expected[: len(spoken)])
    assert not spoken[len(expected) :].any()


def test_another_voice_changes_nothing_but_the_voice(model: ToySynthesizer) -> None:
    (piece,) = Resynthesizer(model).analyze(sung(), "speaker 0")
    other = piece.in_voice(model.speaker.of_names(["speaker 1"]))
    assert (other.units, other.pitch, other.samples) == (piece.units, piece.pitch, piece.samples)
    ratio = Resynthesizer(model).speak([other]) / Resynthesizer(model).speak([piece])
    assert np.nanmedian(ratio) == pytest.approx(3.0, rel=1e-3)  # 0.3 to 0.1: how loud the toy's voices are


def test_a_flat_pitch_is_the_middle_of_the_range_where_there_is_one(model: ToySynthesizer) -> None:
    waveform = np.concatenate([sung(0.5, 300), np.zeros(8_000, np.float32)])
    (piece,) = Resynthesizer(model).analyze(waveform, "speaker 0")
    flat = piece.flattened()
    assert piece.pitch is not None
    assert flat.pitch is not None
    assert piece.pitch[0, 20, 0] > 0.2
    assert not flat.pitch[..., 0].any()
    assert torch.equal(flat.pitch[..., 1], piece.pitch[..., 1])
    assert 0 < int(flat.pitch[..., 1].sum()) < flat.pitch.shape[1]
    assert piece.without_pitch().pitch is None
    assert piece.without_pitch().flattened().pitch is None


def test_shuffled_units_are_the_same_runs_in_another_order(corpus: Manifest, model: ToySynthesizer) -> None:
    (piece,) = Resynthesizer(model).analyze(corpus.read(0, 16_000), "speaker 0")
    mixed = piece.shuffled(0, 3)
    assert torch.equal(mixed.units.ids.sort().values, piece.units.ids.sort().values)
    assert not torch.equal(mixed.units.ids, piece.units.ids)
    assert mixed.units.frame_rate == piece.units.frame_rate
    pairs = [sorted(zip(u.merged().ids[0, 0].tolist(), u.merged().durations[0].tolist(), strict=True)) for u in (piece.units, mixed.units)]
    assert sum(length for _, length in pairs[0]) == sum(length for _, length in pairs[1])
    assert max(pairs[0], key=lambda pair: pair[1])[1] <= max(pairs[1], key=lambda pair: pair[1])[1]  # neighbors may join, never split
    assert torch.equal(mixed.units.ids, piece.shuffled(0, 3).units.ids)
    assert not torch.equal(mixed.units.ids, piece.shuffled(1, 3).units.ids)


def test_long_recordings_are_cut_where_they_are_quiet() -> None:
    waveform = np.concatenate([sung(3.4), np.zeros(3_200, np.float32), sung(2.0)])
    pieces = pieces_of(waveform, 16_000, longest=4.0)
    assert np.array_equal(np.concatenate(pieces), waveform)
    assert len(pieces[0]) == pytest.approx(3.5 * 16_000, abs=40)
    assert pieces_of(sung(4.0), 16_000, longest=4.0)[0].shape == (64_000,)


@pytest.mark.parametrize("seconds", [4.01, 4.9, 5.0, 8.2, 30.0])
def test_pieces_are_neither_too_long_nor_too_short(seconds: float) -> None:
    waveform = np.random.default_rng(0).normal(size=round(16_000 * seconds)).astype(np.float32)
    pieces = pieces_of(waveform, 16_000, longest=4.0)
    assert np.array_equal(np.concatenate(pieces), waveform)
    assert max(map(len, pieces)) <= 64_000
    assert min(map(len, pieces)) >= 16_000
    assert all(len(piece) >= 32_000 for piece in pieces[:-1])


def test_the_range_and_the_voice_are_those_of_the_whole_recording(model: ToySynthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    normalize = model.pitch.normalize
    monkeypatch.setattr(model.pitch, "normalize", lambda pitch, speakers: asked.append(pitch.hertz.shape) or normalize(pitch, speakers))
    monkeypatch.setattr(model.speaker, "of_batch", lambda _, waveforms, __: waveforms[:, :2] * 0 + waveforms.shape[1])
    waveform = sung(30.0)
    pieces = Resynthesizer(model).analyze(waveform, "speaker 0")
    assert len(pieces) == 2
    first, second = (piece.samples for piece in pieces)
    assert asked == [(1, first // 200 + second // 200)]
    for piece in pieces:
        assert piece.voice[0, 0] == pytest.approx((first**2 + second**2) / (first + second), rel=1e-5)
        assert piece.pitch.shape[1] == piece.samples // 200
    assert len(Resynthesizer(model).speak(pieces)) == len(waveform)


def test_what_is_too_short_for_a_unit_is_left_out(model: ToySynthesizer) -> None:
    assert Resynthesizer(model).analyze(np.zeros(0, np.float32), "speaker 0") == []


def test_every_recording_is_spoken_in_every_way(corpus: Manifest, model: ToySynthesizer) -> None:
    found = dict(spoken_again(Resynthesizer(model), corpus, {"as it is": unchanged, "mixed": shuffling(0)}))
    assert list(found) == [0, 1, 2, 3]
    assert {name for one in found.values() for name in one} == {"as it is", "mixed"}
    assert all(len(one["mixed"]) == len(corpus.read(place, 16_000)) for place, one in found.items())
    assert not np.array_equal(found[1]["as it is"], found[1]["mixed"])
    (alone,) = spoken_again(Resynthesizer(model), corpus, {"mixed": shuffling(0)}, places=[1])
    assert np.array_equal(alone[1]["mixed"], found[1]["mixed"])


def test_what_cannot_be_read_is_reported(tmp_path: Path, model: ToySynthesizer) -> None:
    manifest = write_corpus(tmp_path / "test.jsonl", 2)
    (tmp_path / "audio" / "test-0.wav").write_bytes(b"no audio")
    unreadable: dict[int, AudioError] = {}
    assert [place for place, _ in spoken_again(Resynthesizer(model), manifest, {}, unreadable=unreadable)] == [1]
    assert list(unreadable) == [0]
    with pytest.raises(AudioError, match="test-0.wav"):
        list(spoken_again(Resynthesizer(model), manifest, {}))


def test_a_recording_that_is_too_short_to_know_its_voice_is_reported(
    tmp_path: Path, model: ToySynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the others are spoken: it may be one of thousands."""
    manifest = write_corpus(tmp_path / "test.jsonl", 2)
    least = manifest.read(1, 16_000).shape[0]

    def of_batch(names: list[str], waveforms: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if waveforms.shape[1] != least:
            msg = "too short to know a voice by"
            raise AudioError(msg)
        return model.speaker.of_names(names) + 0 * lengths[:, None]

    monkeypatch.setattr(model.speaker, "of_batch", of_batch)
    unreadable: dict[int, AudioError] = {}
    assert [place for place, _ in spoken_again(Resynthesizer(model), manifest, {}, unreadable=unreadable)] == [1]
    assert {place: str(error) for place, error in unreadable.items()} == {0: "too short to know a voice by"}


def test_what_is_not_finite_is_refused(model: ToySynthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = Resynthesizer(model).analyze(sung(), "speaker 0")
    monkeypatch.setattr(model.loudness, "data", torch.full((2,), torch.nan))
    with pytest.raises(UserError, match="not finite: the synthesizer has diverged"):
        Resynthesizer(model).speak(pieces)


def test_a_synthesizer_is_a_subject_but_makes_no_features(model: ToySynthesizer) -> None:
    subject = Subject("mine", model, ("speech",))
    assert subject.synthesizer is model
    with pytest.raises(UserError, match="mine is a synthesizer: .*intelligibility:greedy.*mine#tokenizer"):
        _ = subject.extractor
    with pytest.raises(UserError, match="takes audio and no images"):
        _ = subject.image_extractor
    with pytest.raises(UserError, match="mfcc synthesizes no speech"):
        _ = Subject("mfcc", load("mfcc"), ("mfcc",)).synthesizer
