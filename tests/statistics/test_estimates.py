"""Numbers of sums, and of drawn sums."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from foresay.statistics.estimates import Estimate, Floats, estimate, mean
from foresay.statistics.intervals import DRAWS, bootstrap, draw_utterances

COUNTS = 1.0 + np.random.default_rng(0).poisson(3.0, size=(30, 6))


def ratio(sums: Floats) -> dict[str, Floats]:
    return {"ratio": sums[:, 0] / sums[:, 1]}


def diversity(sums: Floats) -> dict[str, Floats]:
    return {"kinds": (sums > 0).sum(axis=1).astype(float)}


def test_a_number_is_that_of_all_and_its_draws_those_of_drawn_utterances() -> None:
    found = estimate(COUNTS, ratio, seed=3)["ratio"]
    assert found.value == COUNTS[:, 0].sum() / COUNTS[:, 1].sum()
    assert found.draws is not None
    first = draw_utterances(30, 3)[0].astype(int)
    drawn = np.repeat(COUNTS, first, axis=0)
    assert found.draws[0] == pytest.approx(drawn[:, 0].sum() / drawn[:, 1].sum())
    assert len(found.draws) == DRAWS


def test_the_interval_of_a_ratio_is_that_of_any_bootstrap() -> None:
    found, other = estimate(COUNTS, ratio)["ratio"].interval, bootstrap(COUNTS[:, 0], COUNTS[:, 1])
    assert found is not None
    assert found == pytest.approx(other, rel=0.02)


def test_an_interval_holds_its_number_though_every_draw_has_less() -> None:
    rare = np.eye(40)
    found = estimate(rare, diversity)["kinds"]
    assert found.draws is not None
    assert found.draws.max() < found.value == 40
    assert found.interval is not None
    assert found.interval[0] < 40 < found.interval[1]


def test_utterances_without_anything_are_left_out_and_few_have_no_interval() -> None:
    padded = np.concatenate([COUNTS[:7], np.zeros((5, 6)), COUNTS[7:]])
    found = estimate(padded, ratio, 1)["ratio"].interval
    assert found == estimate(COUNTS, ratio, 1)["ratio"].interval
    assert found is not None
    assert found.places.tolist() == [*range(7), *range(12, 35)]
    few, enough = (estimate(np.concatenate([COUNTS[:n], np.zeros((5, 6))]), ratio)["ratio"] for n in (4, 5))
    assert few.value == COUNTS[:4, 0].sum() / COUNTS[:4, 1].sum()
    assert few.interval == ()
    assert few.interval is not None
    assert few.interval.places.tolist() == [0, 1, 2, 3]
    assert enough.interval


def test_sparse_sums_are_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = estimate(COUNTS, ratio)["ratio"]
    monkeypatch.setattr("foresay.statistics.estimates.CELLS", 100)
    sparse = estimate(csr_array(COUNTS), ratio)["ratio"]
    assert sparse.value == dense.value
    np.testing.assert_allclose(sparse.draws, dense.draws)


def test_a_mean_is_taken_draw_by_draw() -> None:
    first, second = (estimate(COUNTS[:, i:], ratio)["ratio"] for i in (0, 1))
    both = mean([first, second])
    assert both.value == (first.value + second.value) / 2
    assert both.draws is not None
    assert first.draws is not None
    assert second.draws is not None
    np.testing.assert_allclose(both.draws, (first.draws + second.draws) / 2)
    assert mean([first, Estimate(1.0)]).interval is None
