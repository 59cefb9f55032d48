"""The pitch quantizer: learns melodies, keeps the order of steady pitches, and depends on nothing beside an utterance."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foresay.baselines.yin import PitchTrack
from foresay.contracts import Batch, Pitch
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.pitch_statistics import PitchStatistics, PitchStatisticsSettings
from foresay.models.units.pitch_vqvae import PitchVQVAE, PitchVQVAESettings
from foresay.workflows.train import run_recipe
from reference.chirps import RATE, chirp
from reference.levels import write_corpus

SMALL = PitchVQVAESettings(codes=12, size=4, channels=32, decay=0.8)


def _melodies(count: int, frames: int, seed: int) -> Tensor:
    """Normalized pitch (B, T, 2) that wanders slowly, with silences."""
    drawn = torch.Generator().manual_seed(seed)
    level = torch.randn(count, 1, generator=drawn)
    phase = torch.rand(count, 1, generator=drawn)
    time = torch.arange(frames) / 100
    pitch = level + 0.7 * torch.sin(2 * torch.pi * (0.7 * time + phase))
    voiced = torch.sin(2 * torch.pi * (0.9 * time + torch.rand(count, 1, generator=drawn))) > -0.5
    return torch.stack([pitch * voiced, voiced.float()], dim=-1)


class _Given(PitchStatistics):
    """Statistics that hand over the melodies that they were given as waveforms."""

    def track(self, waveforms: Tensor, lengths: Tensor) -> Pitch:
        return Pitch(waveforms, lengths)

    def normalize(self, pitch: Pitch, speakers: Sequence[str | None]) -> Tensor:  # noqa: ARG002
        return torch.stack([torch.nan_to_num(pitch.hertz), pitch.hertz.isfinite().float()], dim=-1)


@pytest.fixture(scope="module")
def learnt() -> PitchVQVAE:
    torch.manual_seed(0)
    model = PitchVQVAE(SMALL, _Given(PitchStatisticsSettings(), PitchTrack())).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(120):
        melodies = _melodies(8, 120, step)
        waveforms = torch.where(melodies[..., 1] > 0, melodies[..., 0], torch.nan)
        optimizer.zero_grad()
        model(Batch(("a",) * 8, waveforms, torch.full((8,), 120)), step).total().backward()
        optimizer.step()
        model.after_step(step)
    return model.eval()


def test_steady_pitches_that_rise_are_decoded_to_pitches_that_do_not_fall(learnt: PitchVQVAE) -> None:
    pitches = torch.linspace(-2, 2, 81)
    steady = torch.stack([pitches[:, None].expand(-1, 40), torch.ones(81, 40)], dim=-1)
    decoded = learnt.decode(learnt.encode(steady), 40)
    assert decoded[:, 8:32, 1].all()  # beside it there is silence
    middle = decoded[:, 16:24, 0].mean(1)
    assert (middle.diff() >= -1e-6).all()
    assert middle[-1] - middle[0] > 2
    assert len(learnt.codes(steady)[:, 2].unique()) >= 5


@torch.no_grad()
def test_melodies_come_out_better_than_their_mean_and_than_other_codes(learnt: PitchVQVAE) -> None:
    melodies = _melodies(64, 120, 10_000)
    voiced = melodies[..., 1] > 0
    encoded = learnt.encode(melodies)

    def error(found: Tensor) -> float:
        return float((found[..., 0] - melodies[..., 0])[voiced].square().mean())

    decoded = learnt.decode(encoded, 120)
    shuffled = learnt.decode(encoded[torch.randperm(64, generator=torch.Generator().manual_seed(0))], 120)
    assert error(decoded) < 0.25 * error(melodies.mean() * torch.ones_like(melodies))
    assert error(decoded) < 0.25 * error(shuffled)
    assert ((decoded[..., 1] > 0) == voiced).float().mean() > 0.95
    assert not decoded[..., 0][decoded[..., 1] == 0].any()


def test_codes_and_what_they_stand_for_do_not_depend_on_padding(learnt: PitchVQVAE) -> None:
    melody = _melodies(1, 100, 7)
    padded = torch.cat([melody, torch.zeros(1, 77, 2)], dim=1)
    alone, together = learnt.encode(melody), learnt.encode(padded)
    assert alone.shape == (1, 13, SMALL.size)
    torch.testing.assert_close(together[:, :13], alone)
    torch.testing.assert_close(learnt.decode(together, 177)[:, :100], learnt.decode(alone, 100))


@torch.no_grad()
def test_a_code_is_read_with_four_before_and_after_it(learnt: PitchVQVAE) -> None:
    codes = torch.arange(21) % SMALL.codes
    other = codes.clone()
    other[10] += 1
    one, changed = (learnt._decoded(learnt.codebook.codewords[some][None], 168)[0] for some in (codes, other))
    differ = (one != changed).any(-1).unflatten(0, (21, SMALL.frames)).any(1)
    assert differ.nonzero().flatten().tolist() == list(range(6, 15))


def test_rates_are_those_of_the_codes(learnt: PitchVQVAE) -> None:
    assert (learnt.hop, learnt.code_hop, learnt.size) == (160, 1280, SMALL.size)
    assert learnt.bits_per_second == pytest.approx(12.5 * 3.584962)
    paper = PitchVQVAE(PitchVQVAESettings(), PitchStatistics(PitchStatisticsSettings(), PitchTrack()))
    assert paper.bits_per_second == pytest.approx(54.02, abs=0.01)


def test_the_loss_counts_what_is_real_and_what_is_voiced() -> None:
    """An utterance in a longer batch, and one without any pitch, change no sum."""
    torch.manual_seed(0)
    model = PitchVQVAE(SMALL, PitchStatistics(PitchStatisticsSettings(), PitchTrack())).eval()
    model.codebook.codewords.normal_()
    waveform, _ = chirp(100, 200, 0.7, 4)
    losses = model(Batch(("a",), waveform[None], torch.tensor([len(waveform)])), 0)
    alone, right = losses.terms, losses.scalars["voicing_accuracy"]
    both = torch.zeros(2, RATE)
    both[0, : len(waveform)] = waveform
    losses = model(Batch(("a", "b"), both, torch.tensor([len(waveform), 0])), 0)
    together = losses.terms
    torch.testing.assert_close(losses.scalars["voicing_accuracy"], right)
    assert 0 < right < 1
    assert float(alone["pitch"].count) > 50
    for name, term in alone.items():
        torch.testing.assert_close(together[name].sum, term.sum, rtol=1e-4, atol=1e-4)
        assert float(together[name].count) == float(term.count)
    silent = model(Batch(("b",), torch.zeros(1, RATE), torch.tensor([RATE])), 0)
    assert float(silent.terms["pitch"].count) == 0
    assert silent.total().isfinite()


def test_a_run_trains_resumes_and_is_loaded_with_its_statistics(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "train.jsonl", 8, seed=0)
    sizes = ["model.channels=8", "model.size=4", "data.seconds=4", "data.longest=2.0", "data.shortest=0.1", "trainer.save_every=2"]
    sizes += ["parts.statistics.least=0.01", "optimizer.schedule=constant", "optimizer.warmup=0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run_recipe("train", "pitch-vqvae-tiny", manifest.path, whole, overrides=[*sizes, "trainer.steps=4"])
    run_recipe("train", "pitch-vqvae-tiny", manifest.path, cut, overrides=[*sizes, "trainer.steps=2"])
    run_recipe("train", "pitch-vqvae-tiny", manifest.path, cut, overrides=[*sizes, "trainer.steps=4"])
    first, second = load(whole), load(cut)
    assert isinstance(first, PitchVQVAE)
    assert first.statistics.names == second.statistics.names
    assert all(torch.equal(one, other) for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "override, message",
    [
        ("model.codes=1", "two codes at least"),
        ("model.decay=1.0", "decay below 1"),
        ("parts.statistics=mfcc", "must be a PitchEncoder"),
        ("data.sample_rate=8000", r"16000 Hz, but data\.sample_rate = 8000"),
    ],
)
def test_what_cannot_be_is_explained(tmp_path: Path, override: str, message: str) -> None:
    manifest = write_corpus(tmp_path / "train.jsonl", 8, seed=0)
    with pytest.raises(UserError, match=message):
        run_recipe("train", "pitch-vqvae-tiny", manifest.path, tmp_path / "run", overrides=["parts.statistics.least=0.01", override])
