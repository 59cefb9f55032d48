"""The mel CNN: the receptive field of a frame, and that a clip is encoded alone."""

import pytest
import torch

from foresay.encoders.mel_cnn import MelCNN

LENGTHS = torch.tensor([8000, 5123, 12_345, 700, 160])


@pytest.fixture
def encoder() -> MelCNN:
    torch.manual_seed(0)
    return MelCNN().double()


def test_shapes_are_those_of_the_docstring(encoder: MelCNN) -> None:
    latents = encoder(torch.randn(2, 16_000, dtype=torch.float64))
    assert latents.shape == (2, 50, 64)
    assert encoder.downsampling == 320  # 20 ms
    assert encoder.receptive_field / 16 == pytest.approx(125, abs=1)
    assert (encoder.first_sample + encoder.receptive_field - encoder.downsampling) / 16 == pytest.approx(46, abs=2)
    assert encoder.output.in_features == 64 * 8
    assert MelCNN(channels=16, width=8, bands=40, sample_rate=8000).output.in_features == 8 * 5


def test_a_clip_is_encoded_as_if_alone(encoder: MelCNN) -> None:
    waveforms = torch.randn(len(LENGTHS), 12_345, dtype=torch.float64)  # beyond the length there is noise, which is not encoded
    together = encoder(waveforms, LENGTHS)
    counts = encoder.frame_count(LENGTHS)
    for row, (length, count) in enumerate(zip(LENGTHS.tolist(), counts.tolist(), strict=True)):
        alone = encoder(waveforms[row : row + 1, :length])
        assert alone.shape[1] == count
        torch.testing.assert_close(together[row : row + 1, :count], alone)


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_frame_depends_on_its_receptive_field(rate: int) -> None:
    torch.manual_seed(0)
    encoder = MelCNN(sample_rate=rate).double()
    waveforms = torch.randn(1, rate, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(waveforms)[0, 20].square().sum(), waveforms)
    seen = gradient[0].nonzero().flatten()
    assert int(seen.min()) == encoder.first_sample + 20 * encoder.downsampling
    assert len(seen) == int(seen.max() - seen.min()) + 1 == encoder.receptive_field


def test_silence_around_a_clip_is_what_is_put_there(encoder: MelCNN) -> None:
    """A clip amid silence has, away from its ends, the frames it has alone: zeros stand for silence, not for something else."""
    clip = torch.randn(1, 6400, dtype=torch.float64)
    silence = torch.zeros(1, 3200, dtype=torch.float64)
    amid = encoder(torch.cat([silence, clip, silence], dim=1))
    torch.testing.assert_close(amid[:, 14:26], encoder(clip)[:, 4:16])


def test_pitches_are_distinguished(encoder: MelCNN) -> None:
    time = torch.arange(8000, dtype=torch.float64) / 16_000
    low, high = (encoder(torch.sin(2 * torch.pi * pitch * time)[None])[0, 5:-5] for pitch in (300.0, 2000.0))
    assert (low.mean(0) - high.mean(0)).norm() > 10 * (low - low.mean(0)).norm(dim=1).max()
