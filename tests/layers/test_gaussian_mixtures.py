"""Gaussian mixtures: densities by torch's own, EM never lowers the likelihood, a known mixture is found, the empty are dropped."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from foresay.layers.gaussian_mixtures import NEVER, GaussianMixtures, MixtureSums

MEANS = torch.tensor([[[-3.0, 0.0], [2.0, 2.0]], [[0.0, 4.0], [1.0, -4.0]]])
VARIANCES = torch.tensor([[[1.0, 0.5], [0.3, 2.0]], [[0.5, 0.5], [2.0, 1.0]]])
WEIGHTS = torch.tensor([[0.3, 0.7], [0.5, 0.5]])


def known() -> GaussianMixtures:
    model = GaussianMixtures(2, 2, 2)
    model.log_weights.copy_(WEIGHTS.log())
    model.means.copy_(MEANS)
    model.variances.copy_(VARIANCES)
    return model


def reference() -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(WEIGHTS), Independent(Normal(MEANS, VARIANCES.sqrt()), 1))


def drawn(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of both states (N, D), whose they are (N,), and that they are so wholly (N,)."""
    torch.manual_seed(0)
    frames = reference().sample((count,)).flatten(0, 1)
    return frames, torch.arange(2).repeat(count), torch.ones(len(frames))


def test_densities_are_those_of_torch() -> None:
    frames = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1))
    expected = reference().log_prob(frames[..., None, :])
    torch.testing.assert_close(known()(frames), expected, atol=1e-4, rtol=1e-4)


def test_what_is_dropped_counts_for_nothing() -> None:
    model, single = known(), GaussianMixtures(2, 1, 2)
    model.log_weights.copy_(torch.tensor([[0.0, NEVER], [NEVER, 0.0]]))
    single.begin(torch.zeros(2), torch.ones(2))
    single.means.copy_(torch.stack([MEANS[0, :1], MEANS[1, 1:]]))
    single.variances.copy_(torch.stack([VARIANCES[0, :1], VARIANCES[1, 1:]]))
    frames = torch.randn(4, 2)
    torch.testing.assert_close(model(frames), single(frames))


def test_the_mixture_that_drew_the_frames_is_found_and_em_never_lowers_the_likelihood() -> None:
    frames, states, shares = drawn(3000)
    model = GaussianMixtures(2, 2, 2)
    model.begin(frames.mean(0), frames.var(0))
    totals = []
    for step in range(40):
        if step == 5:
            model.grow(2)
        totals.append(float(model(frames).gather(1, states[:, None]).sum()))
        assert model.update(model.sums(frames, states, shares), least=3, floor=1e-3) == 0
    assert all(after >= before - 1e-2 for before, after in itertools.pairwise(totals[6:]))
    assert totals[-1] > totals[4] + 1000
    order = model.means[..., 1].argsort(1)
    wanted = MEANS[..., 1].argsort(1)
    for found, true in ((model.means, MEANS), (model.variances, VARIANCES)):
        rows = torch.arange(2)[:, None]
        torch.testing.assert_close(found[rows, order], true[rows, wanted], atol=0.15, rtol=0.1)
    torch.testing.assert_close(model.log_weights.exp().sum(1), torch.ones(2))


def test_sums_are_weighted_and_add_up() -> None:
    frames, states, shares = drawn(50)
    model, half = known(), 0.5 * shares
    whole = model.sums(frames, states, half)
    parts = MixtureSums.of([model.sums(frames[some], states[some], half[some]) for some in (slice(30), slice(30, None))])
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)
    assert float(whole.counts.sum()) == pytest.approx(50)
    posterior = (WEIGHTS[0].log() + Independent(Normal(MEANS[0], VARIANCES[0].sqrt()), 1).log_prob(frames[:, None])).softmax(-1)
    torch.testing.assert_close(
        whole.first[0], (0.5 * posterior[..., None] * frames[:, None])[states == 0].sum(0).double(), atol=1e-4, rtol=1e-4
    )


def test_an_empty_gaussian_is_dropped_and_its_place_used_again() -> None:
    frames, states, shares = drawn(200)
    model = known()
    model.means[0, 1] = 500.0  # where no frame is
    assert model.update(model.sums(frames, states, shares), least=3, floor=1e-3) == 1
    assert model.log_weights[0].tolist() == [0.0, pytest.approx(NEVER)]
    before = model.means[0, 0].clone()
    model.grow(2)
    assert model.log_weights[0].exp().tolist() == pytest.approx([0.5, 0.5])
    torch.testing.assert_close(model.means[0].mean(0), before)
    torch.testing.assert_close(model.means[0, 0] - model.means[0, 1], 0.4 * model.variances[0, 0].sqrt())


def test_a_state_without_frames_stays_as_it_was_and_variances_have_a_floor() -> None:
    model, frames = known(), torch.ones(10, 2)
    assert model.update(model.sums(frames, torch.zeros(10, dtype=torch.int64), torch.ones(10)), least=3, floor=0.25) == 1
    torch.testing.assert_close(model.means[1], MEANS[1])
    torch.testing.assert_close(model.log_weights[1].exp(), WEIGHTS[1])
    kept = int(model.log_weights[0].argmax())
    assert model.variances[0, kept].tolist() == [0.25, 0.25]
    assert math.isfinite(float(model(frames).sum()))
