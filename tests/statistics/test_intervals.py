"""Intervals: their coverage where the truth is known, and the cases at the edge."""

import numpy as np
import pytest

from foresay.statistics.intervals import ConfidenceInterval, bootstrap, bootstrap_difference, by_speaker


def draw(random: np.random.Generator, utterances: int) -> tuple[np.ndarray, np.ndarray]:
    """Utterances of different length and difficulty; the ratio's expectation is 0.6."""
    totals = random.integers(50, 150, size=utterances)
    return random.binomial(totals, random.beta(6, 4, size=utterances)), totals


def test_the_interval_holds_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(1)
    intervals = [bootstrap(*draw(random, 60), n=300, seed=seed) for seed in range(400)]
    inside = np.mean([low <= 0.6 <= high for low, high in filter(None, intervals)])
    assert 0.91 <= inside <= 0.98


def test_where_speakers_differ_only_an_interval_over_speakers_holds_the_truth() -> None:
    """Bisani and Ney's blocks: utterances of a speaker are alike, and drawn by themselves they make the interval too narrow."""
    random = np.random.default_rng(2)
    speakers, utterances = 30, 12
    inside = []
    for seed in range(120):
        rates = random.beta(2, 8, size=speakers)  # whose mean is 0.2
        errors = random.binomial(10, rates[:, None], size=(speakers, utterances))
        totals = np.full((speakers, utterances), 10)
        by_speaker = bootstrap(errors.sum(axis=1), totals.sum(axis=1), n=200, seed=seed)
        by_utterance = bootstrap(errors.ravel(), totals.ravel(), n=200, seed=seed)
        inside.append([low <= 0.2 <= high for low, high in (by_speaker, by_utterance)])
    held = np.mean(inside, axis=0)
    assert 0.87 <= held[0] <= 0.99
    assert held[1] < 0.75


def test_equals_the_textbook_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    interval = bootstrap(values, np.ones(400), n=4000)
    assert interval is not None
    half = 1.96 * values.std() / np.sqrt(400)
    np.testing.assert_allclose(interval, [values.mean() - half, values.mean() + half], atol=0.03)


def test_pairing_takes_out_what_is_common() -> None:
    random = np.random.default_rng(0)
    counts, totals = draw(random, 60)
    better = np.minimum(counts + 3, totals)
    alone, paired = bootstrap(better, totals), bootstrap_difference(better, totals, counts, totals)
    assert alone is not None
    assert paired is not None
    assert paired[0] > 0
    assert paired[1] - paired[0] < 0.1 * (alone[1] - alone[0])


def test_the_difference_from_oneself_is_nothing() -> None:
    counts, totals = draw(np.random.default_rng(0), 20)
    assert bootstrap_difference(counts, totals, counts, totals) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    counts, totals = draw(np.random.default_rng(0), 20)
    assert bootstrap(counts, totals, seed=3) == bootstrap(counts, totals, seed=3)
    assert bootstrap(counts, totals, seed=3) != bootstrap(counts, totals, seed=4)


@pytest.mark.parametrize("counts, totals, places", [([], [], []), ([3], [5], [0]), ([1, 3, 0, 2, 1], [2, 5, 0, 4, 4], [0, 1, 3, 4])])
def test_fewer_than_five_utterances_say_nothing_of_the_spread(counts: list[int], totals: list[int], places: list[int]) -> None:
    for interval in (bootstrap(counts, totals), bootstrap_difference(counts, totals, counts, totals)):
        assert interval == ()
        assert interval.places.tolist() == places
        assert len(interval.draws) == 0


def test_an_utterance_with_nothing_to_count_changes_nothing() -> None:
    padded, alone = bootstrap([3, 0, 4, 1, 2, 5], [5, 0, 6, 6, 6, 6]), bootstrap([3, 4, 1, 2, 5], [5, 6, 6, 6, 6])
    assert padded == alone
    assert len(alone) == 2
    assert (padded.places.tolist(), alone.places.tolist()) == ([0, 2, 3, 4, 5], [0, 1, 2, 3, 4])


def test_what_one_of_two_systems_cannot_count_counts_for_neither() -> None:
    counts, totals = draw(np.random.default_rng(0), 8)
    other = totals.copy()
    other[3] = 0
    assert bootstrap_difference(counts, totals, counts, other).places.tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_a_draw_without_a_value_leaves_no_interval() -> None:
    assert ConfidenceInterval([1.0, np.nan, 2.0], range(7)) == ()
    assert ConfidenceInterval([1.0, 2.0, 3.0], range(7)) == pytest.approx((1.05, 2.95))


def test_all_right_is_certain() -> None:
    assert bootstrap([5, 6, 7, 8, 9], [5, 6, 7, 8, 9]) == (1.0, 1.0)


def test_few_speakers_are_not_drawn() -> None:
    ids = [str(number) for number in range(8)]
    blocks = by_speaker(ids, [f"speaker {number % 4}" for number in range(8)], [1] * 8, [2] * 8)
    assert (blocks.what, blocks.names) == ("utterances", ids)
    assert (blocks.counts.tolist(), blocks.totals.tolist()) == ([1] * 8, [2] * 8)


def test_utterances_of_a_speaker_are_drawn_together() -> None:
    ids = [str(number) for number in range(10)]
    blocks = by_speaker(ids, [f"speaker {number % 5}" for number in range(10)], range(10), [2] * 10)
    assert (blocks.what, blocks.names) == ("speakers", [f"speaker {n}" for n in range(5)])
    assert (blocks.counts.tolist(), blocks.totals.tolist()) == ([5, 7, 9, 11, 13], [4] * 5)
