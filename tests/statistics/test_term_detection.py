"""Term weighted value against its definition at every threshold, by hand, and its interval over queries."""

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.statistics.intervals import draw_utterances
from foresay.statistics.term_detection import QUESST14_BETA, normalize_by_query, term_weighted_value
from reference import term_loops


def draw(random: np.random.Generator, queries: int, documents: int, *, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, higher where a document holds the query, and which do; some queries are held by none, and the first by all."""
    relevant = random.random((queries, documents)) < 0.2
    relevant[0], relevant[1] = True, False
    scores = random.normal(size=(queries, documents)) + 2.0 * relevant
    return (np.round(scores * levels) if levels else scores), relevant


@pytest.mark.parametrize("levels", [0, 1])
@pytest.mark.parametrize("beta", [0.3, 2.0, QUESST14_BETA])
def test_equals_its_definition_at_every_threshold(levels: int, beta: float) -> None:
    scores, relevant = draw(np.random.default_rng(levels), 7, 30, levels=levels)
    rows = scores.tolist(), relevant.tolist()
    for threshold in (-1.0, 0.0, 1.3, 9.0):
        found = term_weighted_value(scores, relevant, threshold, beta=beta)
        assert found["MTWV"].value == pytest.approx(term_loops.maximum(*rows, beta))
        assert found["ATWV"].value == pytest.approx(term_loops.value(*rows, threshold, beta))


def test_by_hand() -> None:
    scores = [[3.0, 2.0, 1.0, 0.0], [0.5, 2.5, 0.0, 0.2]]
    relevant = [[1, 0, 1, 0], [0, 1, 0, 0]]
    # From 2.5 on: 3 is found of the first query's two, and all of the second's. From 1 on also the other, for a false alarm of 1 in 2.
    assert term_weighted_value(scores, relevant, 2.0, beta=2.0)["MTWV"].value == 0.75
    assert term_weighted_value(scores, relevant, 2.0, beta=0.4)["MTWV"].value == pytest.approx(0.9)
    assert term_weighted_value(scores, relevant, 2.0, beta=2.0)["ATWV"].value == pytest.approx((0.5 - 2 / 2 + 1) / 2)


def test_the_best_is_1_nothing_is_0_and_the_worst_is_below() -> None:
    relevant = np.eye(6, dtype=bool)
    found = [term_weighted_value(scores, relevant, 0.5, beta=QUESST14_BETA) for scores in (relevant, np.zeros((6, 6)), ~relevant)]
    assert [one["MTWV"].value for one in found] == [1.0, 0.0, 0.0]
    assert [one["ATWV"].value for one in found] == pytest.approx([1.0, 0.0, -QUESST14_BETA])


def test_a_miss_costs_as_the_plan_of_quesst_says() -> None:
    assert pytest.approx(12.49) == QUESST14_BETA
    scores, relevant = np.zeros((1, 1251)), np.arange(1251)[None] == 0
    scores[0, 1] = 1.0
    assert term_weighted_value(scores, relevant, 0.5, beta=QUESST14_BETA)["ATWV"].value == pytest.approx(-QUESST14_BETA / 1250)


def test_a_draw_is_that_of_queries_which_some_document_holds() -> None:
    scores, relevant = draw(np.random.default_rng(2), 9, 25)
    found = term_weighted_value(scores, relevant, 1.0, beta=2.0, seed=5)
    asked = [query for query in range(9) if relevant[query].any()]
    assert found["MTWV"].places is not None
    assert found["MTWV"].places.tolist() == asked
    assert found["MTWV"].draws is not None
    assert found["ATWV"].draws is not None
    for draw_, counts in enumerate(draw_utterances(len(asked), 5)[:20].astype(int)):
        chosen = np.repeat(asked, counts)
        rows = scores[chosen].tolist(), relevant[chosen].tolist()
        assert found["MTWV"].draws[draw_] == pytest.approx(term_loops.maximum(*rows, 2.0))
        assert found["ATWV"].draws[draw_] == pytest.approx(term_loops.value(*rows, 1.0, 2.0))


def test_normalized_scores_have_mean_0_and_deviation_1_whatever_a_query_is_like() -> None:
    scores = np.random.default_rng(3).normal(size=(3, 50))
    found = normalize_by_query(scores * [[1.0], [5.0], [0.1]] + [[0.0], [9.0], [-3.0]])
    np.testing.assert_allclose(found, normalize_by_query(scores))
    np.testing.assert_allclose([found.mean(axis=1), found.std(axis=1)], [[0.0] * 3, [1.0] * 3], atol=1e-12)
    assert normalize_by_query([[2.0, 2.0]]).tolist() == [[0.0, 0.0]]


def test_queries_that_nothing_holds_are_refused() -> None:
    with pytest.raises(UserError, match="No document holds any of the 2 queries"):
        term_weighted_value(np.zeros((2, 3)), np.zeros((2, 3)), 0.0, beta=1.0)
