"""Equal error rate and detection cost against loops over thresholds, by hand, and their intervals over speakers."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq

from foresay.errors import UserError
from foresay.statistics.intervals import draw_utterances
from foresay.statistics.verification import detection_cost, equal_error_rate, verification
from reference import trial_loops
from reference.trial_loops import Trial


def draw(random: np.random.Generator, count: int, *, levels: int = 0, speakers: int = 8) -> list[Trial]:
    """Trials of which those of one speaker score higher; with few levels, many tie."""
    found: list[Trial] = []
    for _ in range(count):
        one, other = random.integers(speakers, size=2)
        other = one if random.random() < 0.4 else other
        score = float(random.normal() + 1.2 * (one == other))
        found.append((round(score * levels) if levels else score, f"s{one}", f"s{other}"))
    return found


def columns(trials: list[Trial]) -> tuple[list[float], list[bool], list[tuple[str, str]]]:
    return [t[0] for t in trials], [t[1] == t[2] for t in trials], [(t[1], t[2]) for t in trials]


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_equals_a_loop_over_thresholds_also_where_scores_tie(levels: int) -> None:
    random = np.random.default_rng(levels)
    for count in (5, 20, 80):
        trials = draw(random, count, levels=levels)
        scores, same, pairs = columns(trials)
        estimates = verification(scores, pairs)
        assert estimates["EER"].value == equal_error_rate(scores, same) == pytest.approx(trial_loops.equal_error_rate(trials))
        for prior in (0.01, 0.05):
            cost = detection_cost(scores, same, prior)
            assert estimates[f"minDCF({prior})"].value == cost == pytest.approx(trial_loops.detection_cost(trials, prior))


def test_equals_the_root_that_toolkits_find() -> None:
    scores, same, _ = columns(draw(np.random.default_rng(4), 300))
    order = np.argsort(scores)[::-1]
    target = np.array(same)[order]
    hits, false_alarms = (np.append(0.0, np.cumsum(kind) / kind.sum()) for kind in (target, ~target))
    root = brentq(lambda x: 1.0 - x - interp1d(false_alarms, hits)(x), 0.0, 1.0)
    assert equal_error_rate(scores, same) == pytest.approx(root, abs=1e-6)


@pytest.mark.parametrize(
    "scores, same, rate, cost",
    [
        ([4, 3, 2, 1], [1, 1, 0, 0], 0.0, 0.0),  # perfect
        ([1, 2, 3, 4], [1, 1, 0, 0], 1.0, 1.0),  # all wrong: better to accept nothing
        ([1, 1, 1, 1], [1, 1, 0, 0], 0.5, 1.0),  # all alike
        ([4, 2, 3, 1], [1, 1, 0, 0], 0.5, 0.5),
        ([5, 3, 4, 2, 1], [1, 1, 0, 0, 0], 1 / 3, 0.5),
        ([3, 2, 2, 1], [1, 1, 0, 0], 0.25, 0.5),  # between missing the tied trial and a false alarm
    ],
)
def test_by_hand(scores: list[float], same: list[bool], rate: float, cost: float) -> None:
    assert equal_error_rate(scores, same) == pytest.approx(rate)
    assert detection_cost(scores, same, 0.05) == pytest.approx(cost)


def test_a_prior_says_what_an_error_costs() -> None:
    scores, same = [9, 8, 7, 6, 5], [False, True, True, True, False]
    assert detection_cost(scores, same, 0.01) == 1.0  # one false alarm of two costs more than missing all
    assert detection_cost(scores, same, 0.8) == pytest.approx(0.5)
    assert detection_cost([-s for s in scores], [not s for s in same], 0.2) == pytest.approx(0.5)  # the same, with kinds exchanged


def test_only_the_order_of_scores_counts() -> None:
    trials = draw(np.random.default_rng(5), 100)
    scores, same, _ = columns(trials)
    assert equal_error_rate(np.exp(scores), same) == equal_error_rate(scores, same)
    assert equal_error_rate(-np.array(scores), ~np.array(same)) == pytest.approx(equal_error_rate(scores, same))


def test_a_draw_is_that_of_speakers() -> None:
    trials = draw(np.random.default_rng(6), 60, levels=2, speakers=6)
    scores, _, pairs = columns(trials)
    found = verification(scores, pairs, seed=3)
    names = sorted({name for pair in pairs for name in pair})
    assert found["EER"].places is not None
    assert len(found["EER"].places) == len(names)
    first = 0
    for counts in draw_utterances(len(names), 3)[:25].astype(int):
        drawn = trial_loops.drawn_trials(trials, np.repeat(names, counts).tolist())
        if {one == other for _, one, other in drawn} == {True, False}:
            for name, expected in (
                ("EER", trial_loops.equal_error_rate(drawn)),
                ("minDCF(0.01)", trial_loops.detection_cost(drawn, 0.01)),
                ("minDCF(0.05)", trial_loops.detection_cost(drawn, 0.05)),
            ):
                draws = found[name].draws
                assert draws is not None
                assert draws[first] == pytest.approx(expected)
            first += 1
    assert first > 15


def test_many_trials_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, _, pairs = columns(draw(np.random.default_rng(7), 50))
    whole = verification(scores, pairs)["EER"]
    monkeypatch.setattr("foresay.statistics.verification.CELLS", 3000)
    parts = verification(scores, pairs)["EER"]
    assert whole.draws is not None
    assert parts.draws is not None
    np.testing.assert_array_equal(whole.draws, parts.draws)


def test_few_speakers_have_no_interval() -> None:
    for speakers, length in ((4, 0), (5, 2)):
        pairs = [(a, b) for a in range(speakers) for b in range(speakers)]
        interval = verification(np.random.default_rng(8).normal(size=len(pairs)), pairs)["EER"].interval
        assert interval is not None
        assert len(interval) == length


def test_an_interval_over_speakers_is_wider_where_speakers_differ() -> None:
    """Forty utterances of each of ten speakers: who is hard to verify matters, and trials say nothing new of that."""
    random = np.random.default_rng(9)
    hard = random.normal(size=10)
    pairs = np.array([(a, a) for a in range(10) for _ in range(20)] + [(a, b) for a in range(10) for b in range(10) if a != b])
    same = pairs[:, 0] == pairs[:, 1]
    scores = same * (1.5 + hard[pairs[:, 0]]) + 0.3 * random.normal(size=len(pairs))
    by_speaker = verification(scores, pairs)["EER"].interval
    drawn = [random.integers(len(scores), size=len(scores)) for _ in range(300)]
    by_trial = np.percentile([equal_error_rate(scores[d], same[d]) for d in drawn], [2.5, 97.5])
    assert by_speaker
    assert by_speaker[1] - by_speaker[0] > 1.5 * (by_trial[1] - by_trial[0])


@pytest.mark.parametrize("pairs, named", [([("a", "a"), ("b", "b")], "one speaker"), ([("a", "b"), ("b", "c")], "two different speakers")])
def test_trials_of_one_kind_are_refused(pairs: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(UserError, match=f"All 2 trials are of {named}"):
        verification([0.1, 0.2], pairs)
