"""The linear probe: against loops, step for step, and on data whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from foresay import draws
from foresay.errors import UserError
from foresay.evaluation.probes.linear_probe import CONVERGED, PAPER, LinearProbe, ProbeTraining, fit_probe
from reference.softmax_regression import SoftmaxRegression

BRIEF = replace(CONVERGED, epochs=30)


def clusters(frames: int, classes: int = 4, spread: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around the corners of a simplex: linearly separable where the spread is small."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=frames)
    return (np.eye(classes)[labels] + spread * random.normal(size=(frames, classes))).astype(np.float32), labels


def test_equals_loops_step_for_step() -> None:
    probe = LinearProbe(5, 3, seed=7)
    oracle = SoftmaxRegression(
        probe.linear.weight.detach().numpy(), probe.linear.bias.detach().numpy(), PAPER.learning_rate, PAPER.betas, PAPER.eps
    )
    training = ProbeTraining(probe, PAPER)
    random = np.random.default_rng(0)
    for _ in range(6):
        features, labels = random.normal(size=(20, 5)).astype(np.float32), random.integers(3, size=20)
        before = [int(np.argmax(oracle.probabilities(frame))) for frame in features.astype(np.float64)]
        assert training.update(torch.from_numpy(features), torch.from_numpy(labels)).tolist() == before
        oracle.update(features.astype(np.float64), labels)
        np.testing.assert_allclose(probe.linear.weight.detach(), oracle.weight, atol=1e-6)
        np.testing.assert_allclose(probe.linear.bias.detach(), oracle.bias, atol=1e-6)
    assert probe.updates == 6


def test_it_starts_as_a_linear_layer_does_and_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    probe = LinearProbe(5, 3, seed=11)
    assert torch.equal(torch.get_rng_state(), state)
    draws.seed_torch("probe, initially", 11)
    torch.testing.assert_close(probe.linear.weight, torch.nn.Linear(5, 3).weight)


def test_separable_classes_are_all_found() -> None:
    features, labels = clusters(3000)
    probe = fit_probe(features, labels, protocol=replace(CONVERGED, epochs=100))
    unseen, truth = clusters(1000, seed=1)
    assert (probe.predict(unseen).numpy() == truth).all()


def test_the_scale_of_a_dimension_means_nothing_once_converged() -> None:
    features, labels = clusters(1500, spread=0.5)
    scaled = features * np.array([1e3, 1.0, 1e-3, 1.0], dtype=np.float32) + np.array([0, 50, 0, -3], dtype=np.float32)
    plain, other = fit_probe(features, labels).predict(features), fit_probe(scaled, labels).predict(scaled)
    assert (plain == other).float().mean() > 0.995


def test_as_good_as_the_best_linear_classifier_there_is() -> None:
    """Gaussian classes of one covariance: Bayes' rule is linear and known."""
    features, labels = clusters(20_000, spread=0.6)
    unseen, truth = clusters(20_000, spread=0.6, seed=1)
    best = np.mean(unseen.argmax(axis=1) == truth)
    assert abs(float((fit_probe(features, labels).predict(unseen).numpy() == truth).mean()) - best) < 0.005


def test_the_protocol_of_the_paper_makes_its_epochs_and_no_more() -> None:
    features, labels = clusters(2048)
    assert fit_probe(features, labels, protocol=PAPER).updates == 20


def test_the_converged_protocol_stops_when_nothing_is_gained() -> None:
    features, labels = clusters(2000, spread=2.0)
    updates_an_epoch = 1800 // CONVERGED.frames
    assert 20 < fit_probe(features, labels).updates // updates_an_epoch < CONVERGED.epochs // 2


def test_utterances_are_held_out_whole() -> None:
    """Utterance u is of class u mod 2 but lies at its own corner: what is learnt of one says nothing of another."""
    utterances = np.repeat(np.arange(20), 40)
    features = np.eye(20, dtype=np.float32)[utterances]
    by_utterance = fit_probe(features, utterances % 2, utterances=utterances)
    by_frame = fit_probe(features, utterances % 2)
    assert by_utterance.updates < by_frame.updates


def test_the_same_seed_gives_the_same_probe() -> None:
    features, labels = clusters(1000, spread=1.0)
    first, second, other = (fit_probe(features, labels, seed=seed, protocol=BRIEF).linear.weight for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_class_that_is_never_shown_is_never_named() -> None:
    features, labels = clusters(1000)
    assert int(fit_probe(features, labels, classes=9, protocol=BRIEF).predict(features).max()) <= 3


@pytest.mark.parametrize("features, labels", [(np.zeros(5), np.zeros(5)), (np.zeros((5, 2)), np.zeros(4)), (np.zeros((0, 2)), np.zeros(0))])
def test_arrays_that_do_not_fit_are_refused(features: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(UserError, match="features \\(N, D\\) and labels \\(N,\\)"):
        fit_probe(features, labels)


def test_features_that_are_not_finite_are_refused_by_frame() -> None:
    features, labels = clusters(10)
    features[6, 1] = np.nan
    with pytest.raises(UserError, match="frame 6 are not finite"):
        fit_probe(features, labels)


def test_one_utterance_cannot_be_held_out() -> None:
    features, labels = clusters(10)
    with pytest.raises(UserError, match="all frames are of one utterance"):
        fit_probe(features, labels, utterances=np.zeros(10))
    assert fit_probe(features, labels, utterances=np.zeros(10), protocol=replace(CONVERGED, held_out=0.0, epochs=2)).updates == 2
