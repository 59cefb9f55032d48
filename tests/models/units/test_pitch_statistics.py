"""Pitch in a speaker's range: against plain means, and restored as it was."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.baselines.yin import PitchTrack
from foresay.contracts import Pitch
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.pitch_statistics import PitchStatistics, PitchStatisticsSettings
from foresay.workflows.train import run_recipe
from reference.chirps import RATE, chirp

VOICES = {"low": (90.0, 130.0), "high": (220.0, 280.0)}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two voices that glide, one that hardly speaks, and a recording of nobody known."""
    folder = tmp_path_factory.mktemp("voices")
    clips = [(f"{name} {up}", name, (pitches if up else pitches[::-1]), 1.0) for name, pitches in VOICES.items() for up in (0, 1)]
    clips += [("brief", "brief", (150.0, 160.0), 0.3), ("nobody", None, (300.0, 400.0), 1.0)]
    items = []
    for name, speaker, (begin, end), seconds in clips:
        audio = folder / f"{name}.wav"
        soundfile.write(audio, chirp(begin, end, seconds, 5)[0].numpy(), RATE)
        items.append(Item(name, audio=audio, duration=seconds, sample_rate=RATE, speaker=speaker))
    write_manifest(folder / "voices.jsonl", items)
    return Manifest.open(folder / "voices.jsonl")


@pytest.fixture(scope="module")
def fitted(manifest: Manifest) -> PitchStatistics:
    model = PitchStatistics(PitchStatisticsSettings(), PitchTrack()).eval()
    model.fit(CorpusPasses(manifest, 0))
    return model


def _tracks(manifest: Manifest, model: PitchStatistics) -> dict[str, Pitch]:
    found = {}
    for place, item in enumerate(manifest):
        waveform = torch.from_numpy(manifest.read(place, RATE))
        found[item.id] = model.track(waveform[None], torch.tensor([len(waveform)]))
    return found


def test_ranges_are_means_and_deviations_of_log_f0(fitted: PitchStatistics, manifest: Manifest) -> None:
    tracks = _tracks(manifest, fitted)
    assert fitted.names == ("high", "low")
    logs = {}
    for name in ("high", "low", "nobody"):
        hertz = torch.cat([pitch.hertz[0] for key, pitch in tracks.items() if key.startswith(name)]).numpy().astype(np.float64)
        logs[name] = np.log(hertz[hertz > 0])
    moments = [(values.mean(), values.std()) for values in logs.values()]
    np.testing.assert_allclose(fitted.means[:2], [mean for mean, _ in moments[:2]], rtol=1e-5)
    np.testing.assert_allclose(fitted.deviations[:2], [deviation for _, deviation in moments[:2]], rtol=1e-4)
    np.testing.assert_allclose(fitted.means[2], np.mean([mean for mean, _ in moments]), rtol=1e-5)
    np.testing.assert_allclose(fitted.deviations[2], np.mean([deviation for _, deviation in moments]), rtol=1e-4)


def test_a_speaker_of_little_speech_stays_unknown_and_is_named(manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    model = PitchStatistics(PitchStatisticsSettings(least=0.1), PitchTrack()).eval()
    model.fit(CorpusPasses(manifest, 0))
    assert model.names == ("brief", "high", "low")
    capsys.readouterr()
    PitchStatistics(PitchStatisticsSettings(), PitchTrack()).eval().fit(CorpusPasses(manifest, 0))
    said = capsys.readouterr().err
    assert "1 speakers have less than 1 s of voiced speech, and stay unknown: brief" in said
    assert "recordings without a speaker count as one each" in said


def test_what_is_normalized_is_restored(fitted: PitchStatistics, manifest: Manifest) -> None:
    pitch = _tracks(manifest, fitted)["low 1"]
    normalized = fitted.normalize(pitch, ["low"])
    assert normalized.shape == (1, 100, 2)
    assert torch.equal(normalized[..., 1] == 1, pitch.voiced)
    assert not normalized[0, ~pitch.voiced[0], 0].any()
    assert torch.equal(fitted.decode(fitted.encode(normalized), 40), normalized[:, :40])
    torch.testing.assert_close(fitted.restore(fitted.decode(fitted.encode(normalized), 100), ["low"]), pitch.hertz)


def test_in_another_range_it_is_another_voice(fitted: PitchStatistics) -> None:
    """One deviation above one voice's mean is one above the other's."""
    mean, deviation = fitted.means.exp(), fitted.deviations
    hertz = (mean[1] * deviation[1].exp()).expand(1, 4)
    restored = fitted.restore(fitted.normalize(Pitch(hertz, torch.tensor([4])), ["low"]), ["high"])
    torch.testing.assert_close(restored, (mean[0] * deviation[0].exp()).expand(1, 4))


@pytest.mark.parametrize("stranger", [None, "stranger", "unknown"])
def test_of_a_stranger_the_range_is_that_of_the_utterance_and_then_that_of_all(fitted: PitchStatistics, stranger: str | None) -> None:
    logs = torch.tensor([[4.0, 5.0, 6.0, 0.0], [5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]])
    pitch = Pitch(torch.where(logs > 0, logs.exp(), 0.0), torch.tensor([4, 4, 4, 4]))
    found = fitted.normalize(pitch, [stranger] * 4)
    spread = (2 / 3) ** 0.5
    torch.testing.assert_close(found[0, :, 0], torch.tensor([-1 / spread, 0.0, 1 / spread, 0.0]))
    assert not found[1:, :, 0].abs().gt(1e-4).any()  # flat pitch is at its mean, and silence has none
    assert found[..., 1].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(fitted.restore(found, [stranger] * 4)[1], fitted.means[-1].exp().expand(4))


@pytest.mark.parametrize("stranger", [None, "unknown"])
def test_pitch_of_a_stranger_is_restored_in_the_range_that_it_was_normalized_in(fitted: PitchStatistics, stranger: str | None) -> None:
    """A vocoder learns from it: in another range its source would be out of tune with the recording."""
    pitch = Pitch(torch.tensor([[300.0, 0.0, 340.0, 410.0], [90.0, 80.0, 0.0, 0.0]]), torch.tensor([4, 2]))
    normalized = fitted.normalize(pitch, [stranger, stranger])
    torch.testing.assert_close(fitted.restore(normalized, [stranger, stranger], pitch), pitch.hertz)
    known = fitted.normalize(pitch, ["low", stranger])
    torch.testing.assert_close(fitted.restore(known, ["low", stranger], pitch), pitch.hertz)


def test_a_monotonous_stranger_is_not_made_lively(fitted: PitchStatistics) -> None:
    logs = torch.tensor([[5.0, 5.001]])
    found = fitted.normalize(Pitch(logs.exp(), torch.tensor([2])), [None])
    torch.testing.assert_close(found[0, 1, 0], 0.0005 / (0.5 * fitted.deviations[-1]), rtol=1e-2, atol=0)


def test_a_run_of_its_own_holds_names_and_tracker(tmp_path: Path, manifest: Manifest, fitted: PitchStatistics) -> None:
    run_recipe("train", "pitch-statistics", manifest.path, tmp_path / "pitch")
    loaded = load(tmp_path / "pitch")
    assert isinstance(loaded, PitchStatistics)
    assert loaded.names == fitted.names
    assert torch.equal(loaded.means, fitted.means)
    assert (loaded.hop, loaded.code_hop, loaded.size, loaded.sample_rate) == (160, 160, 2, 16_000)


def test_what_cannot_be_fitted_is_explained(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(UserError, match=r"none of 4 speakers has 50 s of voiced speech"):
        run_recipe("train", "pitch-statistics", manifest.path, tmp_path / "pitch", overrides=["model.least=50.0"])
    with pytest.raises(UserError, match="no layer 'f0'"):
        run_recipe("train", "pitch-statistics", manifest.path, tmp_path / "other", overrides=["parts.tracker=mfcc"])
    with pytest.raises(UserError, match="least must be above 0"):
        run_recipe("train", "pitch-statistics", manifest.path, tmp_path / "another", overrides=["model.least=0.0"])
