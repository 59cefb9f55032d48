"""Slowness against loops, and of a language whose runs are known."""

from itertools import pairwise
from math import log2
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.clusters.slowness import K50, K100, Slowness, SlownessProtocol, rate_changes, sum_changes
from foresay.evaluation.measure import Corpora, find_measure
from foresay.results import Result
from reference.cluster_loops import slowness
from reference.levels import trained, write_corpus

METRICS = ("cosine change", "relative change", "run length", "bits per second")


def rate(recordings: list[tuple[np.ndarray, list[int]]], mean: np.ndarray, clusters: int, seconds: float) -> dict[str, float]:
    """The measures of recordings of so many seconds each."""
    changes = [
        sum_changes(torch.from_numpy(frames), torch.tensor(codes), clusters, torch.from_numpy(mean), seconds)
        for frames, codes in recordings
    ]
    return {name: number.value for name, number in rate_changes(changes).items()}


def test_numbers_are_those_of_loops() -> None:
    random = np.random.default_rng(0)
    recordings = [(random.normal(size=(length, 5)).cumsum(axis=0), random.integers(3, size=length).tolist()) for length in (40, 1, 25, 7)]
    mean = np.concatenate([frames for frames, _ in recordings]).mean(axis=0)
    for point in (mean, np.zeros(5), np.full(5, 100.0)):  # whichever
        assert rate(recordings, point, 4, 0.5) == pytest.approx(slowness(recordings, mean, 2.0))


def test_change_is_relative_to_the_frames_that_change_and_not_to_those_of_training(tmp_path: Path) -> None:
    """A training corpus of other phones lies elsewhere; before, the distance to its mean counted as that of any two frames."""
    test, train, other = (
        write_corpus(tmp_path / f"{name}.jsonl", 6, seed=seed, phones=tuple(phones))
        for seed, (name, phones) in enumerate((("test", "ab"), ("train", "ab"), ("other", "cd")))
    )
    rates = [
        {r.metric: r.value for r in Slowness(SlownessProtocol("k2", 2))([Subject("levels", trained(), ("level",))], corpora)}
        for corpora in (Corpora(test), Corpora(test, train), Corpora(test, other))
    ]
    assert rates[0]["relative change"] == pytest.approx(rates[1]["relative change"]) == pytest.approx(rates[2]["relative change"])


def test_golden_numbers() -> None:
    """A square: right angles between neighbors, sides of root 2, all 1 from the mean; four runs of two codes in half a second."""
    square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    found = rate([(square, [0, 1, 0, 1])], np.zeros(2), 2, 0.5)
    assert found == pytest.approx({"cosine change": 1.0, "relative change": 1.0, "run length": 125.0, "bits per second": 8.0})


def test_what_never_changes_and_what_keeps_nothing() -> None:
    still = rate([(np.full((50, 3), 2.0), [1] * 50)] * 2, np.zeros(3), 2, 0.5)
    assert still == {"cosine change": 0.0, "relative change": 0.0, "run length": 500.0, "bits per second": 0.0}
    noise = np.random.default_rng(0).normal(size=(20_000, 8))
    white = rate([(noise, (noise[:, 0] > 0).astype(int).tolist())], np.zeros(8), 2, 200.0)
    assert white["relative change"] == pytest.approx(1.0, abs=0.02)
    assert white["cosine change"] == pytest.approx(1.0, abs=0.02)
    assert white["run length"] == pytest.approx(20.0, abs=0.5)
    assert white["bits per second"] == pytest.approx(50.0, abs=1.0)
    zeros = rate([(np.zeros((5, 3)), [0] * 5)], np.zeros(3), 1, 0.05)
    assert zeros["cosine change"] == zeros["relative change"] == 0.0


def test_a_frame_said_twice_halves_the_change_and_leaves_the_bits() -> None:
    random = np.random.default_rng(1)
    frames, codes = random.normal(size=(500, 4)), random.integers(6, size=500)
    fast = rate([(frames, codes.tolist())], np.zeros(4), 6, 5.0)
    slow = rate([(frames.repeat(2, axis=0), codes.repeat(2).tolist())], np.zeros(4), 6, 5.0)
    assert slow["cosine change"] == pytest.approx(fast["cosine change"] / 2, rel=0.01)
    assert slow["relative change"] == pytest.approx(fast["relative change"] / np.sqrt(2), rel=0.01)
    assert slow["run length"] == fast["run length"]
    assert slow["bits per second"] == fast["bits per second"]


def test_runs_are_the_phones_of_a_language_of_points(tmp_path: Path) -> None:
    corpora = Corpora(write_corpus(tmp_path / "test.jsonl", 6, seed=2), write_corpus(tmp_path / "train.jsonl", 12, seed=1))
    results = Slowness(SlownessProtocol("k4", 4))([Subject("levels", trained(), ("level", "nothing"), 500)], corpora)
    found = {r.metric: r for r in results if r.layer == "level"}
    assert set(found) == set(METRICS)
    said = [[p.label for p in item.phones or ()] for item in corpora.test]
    runs = [phones[0] for phones in said] + [b for phones in said for a, b in pairwise(phones) if a != b]
    seconds = float(corpora.test.durations.sum())
    shares = np.unique(runs, return_counts=True)[1] / len(runs)
    assert found["run length"].value == pytest.approx(1000 * seconds / len(runs))
    assert found["bits per second"].value == pytest.approx(-sum(s * log2(s) for s in shares) * len(runs) / seconds)
    frames = found["cosine change"].details["frames"]
    assert found["cosine change"].value == pytest.approx((len(runs) - 6) / (frames - 6))  # every change is by a right angle
    for result in found.values():
        assert result.low is not None
        assert result.low < result.value < result.high
        assert (result.details["clusters"], result.details["trained_on"]) == (4, corpora.train and corpora.train.name)
        assert result.details["frames_per_second"] == pytest.approx(100.0, rel=0.01)
    assert [r.value for r in results if r.layer == "nothing" and r.metric.endswith("change")] == [0.0, 0.0]


def test_no_labels_and_no_training_corpus_are_needed(tmp_path: Path) -> None:
    bare = write_corpus(tmp_path / "bare.jsonl", 4, labelled=False)
    subject = Subject("levels", trained(), ("level",), None, Subject("levels (untrained)", trained(), ("level",)))
    results: list[Result] = Slowness(SlownessProtocol("k4", 4))([subject], Corpora(bare))
    assert len(results) == 2 * len(METRICS)
    assert results[0].details["trained_on"] == bare.name
    with pytest.raises(UserError, match="frames cannot have 4096 centers"):
        Slowness(SlownessProtocol("k4096", 4096))([subject], Corpora(bare))


def test_protocols_are_found_by_name() -> None:
    for protocol in (K50, K100):
        assert find_measure(f"slowness:{protocol.name}").protocol == protocol
