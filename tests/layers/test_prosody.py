"""Pitch and durations of units: what is learnt of them, what is counted, and that padding is not looked at."""

import math

import torch

from foresay.layers.prosody import DurationPredictor, PitchPredictor, duration_loss, pitch_losses

V = 5


def test_losses_of_pitch_against_loops() -> None:
    predicted, normalized, real = 2 * torch.randn(2, 6, 2), torch.randn(2, 6, 2), torch.ones(2, 6, 1)
    normalized[..., 1] = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 1, 0, 0, 1]])
    real[1, 4:] = 0
    errors, entropy, voiced, frames = 0.0, 0.0, 0, 0
    for row in range(2):
        for frame in range(6 if row == 0 else 4):
            share = 1 / (1 + math.exp(-predicted[row, frame, 1].item()))
            is_voiced = bool(normalized[row, frame, 1])
            entropy -= math.log(share if is_voiced else 1 - share)
            frames += 1
            if is_voiced:
                voiced += 1
                error = abs(float(predicted[row, frame, 0] - normalized[row, frame, 0]))
                errors += error**2 / 2 if error < 1 else error - 1 / 2
    found = pitch_losses(predicted, normalized, real)
    assert float(found["pitch"].count) == voiced
    assert float(found["voicing"].count) == frames
    torch.testing.assert_close(float(found["pitch"].sum), errors, rtol=1e-4, atol=0)
    torch.testing.assert_close(float(found["voicing"].sum), entropy, rtol=1e-4, atol=0)


def test_units_that_are_cut_are_not_counted() -> None:
    predicted = torch.tensor([[0.0, math.log(3.0), 1.0]])
    found = duration_loss(predicted, torch.tensor([[7, 3, 9]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert float(found.count) == 1
    assert abs(float(found.sum)) < 1e-5


def test_deviance_against_the_poisson_distribution() -> None:
    rates, frames = torch.tensor([[0.5, 2.0, 7.0]]), torch.tensor([[1, 5, 6]])
    found = duration_loss(rates.log(), frames, torch.ones(1, 3))
    slow = sum(
        2 * float(torch.distributions.Poisson(float(frame)).log_prob(frame) - torch.distributions.Poisson(rate).log_prob(frame))
        for rate, frame in zip(rates[0], frames[0], strict=True)
    )
    torch.testing.assert_close(float(found.sum), slow, rtol=1e-4, atol=0)


def test_the_best_guess_of_durations_is_their_mean() -> None:
    frames = torch.tensor([[1, 1, 1, 9]])
    at = [float(duration_loss(torch.full((1, 4), math.log(guess)), frames, torch.ones(1, 4)).sum) for guess in (2.9, 3.0, 3.1)]
    assert at[1] < min(at[0], at[2])


def test_durations_are_whole_frames_and_at_least_one() -> None:
    predictor = DurationPredictor(V, 8, 0.5).eval()
    for logarithm, frames in ((-3.0, 1), (0.2, 1), (math.log(4.4), 4), (math.log(4.6), 5)):
        torch.nn.init.zeros_(predictor.head.weight)
        torch.nn.init.constant_(predictor.head.bias, logarithm)
        assert predictor.predict(torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, 3, 1)).tolist() == [[frames] * 3]


@torch.no_grad()
def test_a_frame_is_voiced_where_that_is_likelier_than_not() -> None:
    predictor = PitchPredictor(V, 3, 8, 1, 3).eval()
    torch.nn.init.zeros_(predictor.head.weight)
    for odds, frame in ((0.1, [0.25, 1.0]), (-0.1, [0.0, 0.0])):
        predictor.head.bias.copy_(torch.tensor([0.25, odds]))
        assert predictor.predict(torch.full((1, 2), V), torch.randn(1, 3), torch.ones(1, 2, 1)).tolist() == [[frame] * 2]


@torch.no_grad()
def test_how_long_a_unit_lasts_depends_on_two_before_and_after_it() -> None:
    predictor, units, real = DurationPredictor(V, 8, 0.5).eval(), torch.randint(V, (1, 11)), torch.ones(1, 11, 1)
    other = units.clone()
    other[0, 5] = V  # none
    assert (predictor(units, real) != predictor(other, real))[0].nonzero().flatten().tolist() == [3, 4, 5, 6, 7]


@torch.no_grad()
def test_neither_looks_at_padding() -> None:
    units, real = torch.randint(V, (2, 12)), torch.ones(2, 12, 1)
    real[1, 7:] = 0
    pitch, durations = PitchPredictor(V, 3, 8, 2, 5).eval(), DurationPredictor(V, 8, 0.5).eval()
    voices = torch.randn(2, 3)
    torch.testing.assert_close(pitch.predict(units, voices, real)[1, :7], pitch.predict(units[1:, :7], voices[1:], real[1:, :7])[0])
    torch.testing.assert_close(durations(units, real)[1, :7], durations(units[1:, :7], real[1:, :7])[0])
    assert not pitch.predict(units, voices, real)[1, 7:].any()


def test_a_pitch_that_units_and_voices_say_is_learnt() -> None:
    torch.manual_seed(0)
    units, voices, real = torch.randint(V, (16, 20)), torch.eye(2).repeat(8, 1), torch.ones(16, 20, 1)
    voiced = (units > 1).float()
    normalized = torch.stack([(units - 3.0 + voices[:, :1]) * voiced, voiced], -1)
    predictor = PitchPredictor(V, 2, 16, 1, 3)
    optimizer = torch.optim.Adam(predictor.parameters(), 2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        sum(term.sum / term.count for term in pitch_losses(predictor(units, voices, real), normalized, real).values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = predictor.predict(units, voices, real)
    assert torch.equal(found[..., 1], voiced)
    assert float((found - normalized)[..., 0].abs().max()) < 0.5


def test_melody_is_learnt_as_far_as_the_kernel_reaches() -> None:
    """Pitch falls from 1 to -1 over an utterance of one unit alone, so that only its ends say how high a frame is.

    Whoever looks at a few frames predicts the mean, which is flat: its deviation is no more of theirs than it is correlated with them.
    """
    torch.manual_seed(0)
    frames = 40
    units, voices, real = torch.zeros(1, frames, dtype=torch.int64), torch.zeros(1, 1), torch.ones(1, frames, 1)
    falling = torch.stack([torch.linspace(1, -1, frames), torch.ones(frames)], -1)[None]
    deviations = {}
    for kernel in (3, 81):
        predictor = PitchPredictor(V, 1, 8, 1, kernel)
        optimizer = torch.optim.Adam(predictor.parameters(), 2e-2)
        for _ in range(60):
            terms = pitch_losses(predictor(units, voices, real), falling, real)
            optimizer.zero_grad()
            terms["pitch"].sum.backward()
            optimizer.step()
        deviations[kernel] = float(predictor(units, voices, real)[0, :, 0].detach().std() / falling[0, :, 0].std())
    assert deviations[3] < 0.5
    assert deviations[81] > 0.9, deviations
