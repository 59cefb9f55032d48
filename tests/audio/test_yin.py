"""YIN: on chirps, silence and noise, whose pitch is known, and against loops."""

import numpy as np
import pytest
import torch
from torch import Tensor

from foresay.audio import yin
from foresay.audio.yin import YIN
from reference import yin_loops
from reference.chirps import RATE, chirp


def _tracker(hop: int = 160) -> YIN:
    return YIN(RATE, hop, 60.0, 500.0)


def _track(waveform: Tensor, hop: int = 160) -> Tensor:
    return _tracker(hop)(waveform[None], torch.tensor([len(waveform)]))[0]


@pytest.mark.parametrize("begin, end", [(80.0, 400.0), (480.0, 65.0), (200.0, 200.0)])
@pytest.mark.parametrize("harmonics", [1, 8])
def test_chirps_are_followed_within_a_hundredth(begin: float, end: float, harmonics: int) -> None:
    waveform, hertz = chirp(begin, end, 1.5, harmonics)
    tracker = _tracker()
    found = _track(waveform)
    expected = hertz[tracker.first_center + tracker.hop * torch.arange(len(found))]
    inner = slice(3, -3)  # of the others half lies in the silence around
    assert (found[inner] > 0).all()
    torch.testing.assert_close(found[inner], expected[inner], rtol=0.01, atol=0)


@pytest.mark.parametrize("strength", [0.0, 1e-3, 1.0])
def test_silence_and_noise_are_unvoiced(strength: float) -> None:
    noise = strength * torch.randn(2, 24_000, generator=torch.Generator().manual_seed(0))
    found = _tracker()(noise, torch.tensor([24_000, 12_345]))
    assert found.shape == (2, 150)
    assert not found.any()


def test_a_missing_fundamental_is_found_and_noise_and_hum_do_not_hide_it() -> None:
    time = torch.arange(RATE) / RATE
    waveform = sum((torch.sin(2 * torch.pi * 120 * n * time) for n in (3, 4, 5)), start=torch.zeros(RATE))
    noisy = waveform + 0.2 * torch.randn(RATE, generator=torch.Generator().manual_seed(0)) + 0.5
    torch.testing.assert_close(_track(noisy)[3:-3], torch.full((94,), 120.0), rtol=0.01, atol=0)


def test_it_does_not_matter_how_loud_an_utterance_is_and_what_is_quiet_in_it_is_unvoiced() -> None:
    waveform, _ = chirp(150.0, 200.0, 0.5, 5)
    torch.testing.assert_close(_track(waveform), _track(1e-3 * waveform), rtol=1e-3, atol=0)
    followed = _track(torch.cat([waveform, 0.005 * waveform]))
    assert (followed[3:47] > 0).all()
    assert not followed[53:].any()


def test_equals_loops() -> None:
    """A voice that rises, falls silent and breaks by an octave, in noise, with few frames."""
    tracker = _tracker(hop=400)
    parts = [chirp(150, 190, 0.15, 6)[0], torch.zeros(1600), chirp(380, 350, 0.1, 6)[0], chirp(175, 160, 0.1, 6)[0]]
    waveform = torch.cat(parts)
    waveform = waveform + 0.02 * torch.randn(len(waveform), generator=torch.Generator().manual_seed(1))
    found = _track(waveform, hop=400)
    reach = tracker.receptive_field // 2
    padded = np.pad(waveform.double().numpy(), reach)
    frames = []
    for frame in range(len(waveform) // 400):
        center = tracker.first_center + 400 * frame
        d = yin_loops.difference(padded[center : center + 2 * reach + 1], tracker.longest)
        frames.append(yin_loops.dips(d, tracker.shortest, tracker.longest, yin.CANDIDATES))
    scale = yin.STEP * RATE / 400
    lags = yin_loops.best_path(
        frames,
        tracker.shortest,
        unvoiced=yin.UNVOICED,
        octave=yin.OCTAVE,
        jump=scale * yin.JUMP,
        switch=scale * yin.SWITCH,
    )
    expected = torch.tensor([RATE / lag if lag else 0.0 for lag in lags], dtype=torch.float32)
    assert 0 < int((expected > 0).sum()) < len(expected)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_neither_batch_mates_nor_padding_change_an_utterance() -> None:
    clips = [chirp(100, 300, 0.4, 4)[0], chirp(220, 180, 0.9, 4)[0], torch.zeros(0)]
    lengths = torch.tensor([len(clip) for clip in clips])
    together = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=0.3)
    found = _tracker()(together, lengths)
    for row, clip in enumerate(clips):
        alone = _track(clip)
        assert len(alone) == len(clip) // 160
        torch.testing.assert_close(found[row, : len(alone)], alone, rtol=1e-4, atol=0)
        assert not found[row, len(alone) :].any()


def test_a_batch_cut_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform, _ = chirp(100, 300, 0.4, 4)
    whole = _track(waveform)
    monkeypatch.setattr(yin, "AT_ONCE", 7)
    torch.testing.assert_close(_track(waveform), whole, rtol=1e-4, atol=0)
