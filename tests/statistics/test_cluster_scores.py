"""Agreement of clusters with phones against loops, golden numbers and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.metrics import normalized_mutual_info_score

from foresay.statistics.cluster_scores import agreement, contingency, rate_agreement, rate_distances, rate_use
from reference.cluster_loops import agreement as agreement_by_loops

RANDOM = np.random.default_rng(0)
PHONES = RANDOM.integers(5, size=400)
CODES = np.where(RANDOM.random(400) < 0.6, (PHONES * 3) % 7, RANDOM.integers(7, size=400))
UTTERANCES = np.repeat(np.arange(20), 20)


def table(codes: np.ndarray, phones: np.ndarray) -> np.ndarray:
    counts = np.zeros((codes.max() + 1, phones.max() + 1))
    np.add.at(counts, (codes, phones), 1.0)
    return counts


def test_contingency_counts_labelled_frames() -> None:
    np.testing.assert_array_equal(contingency(CODES, PHONES, 7, 5), table(CODES, PHONES))
    assert contingency([0, 2, 2, 1], [1, 0, -1, -1], 4, 2).tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert contingency([], [], 2, 2).tolist() == [[0, 0], [0, 0]]


def rated(counts: ArrayLike) -> dict[str, float]:
    return {name: float(value) for name, value in agreement(counts).items()}


def test_scores_are_those_of_loops_and_of_scikit_learn() -> None:
    found = rated(table(CODES, PHONES))
    assert found == pytest.approx(agreement_by_loops(CODES.tolist(), PHONES.tolist()))
    assert found["NMI"] == pytest.approx(normalized_mutual_info_score(PHONES, CODES))


def test_golden_numbers() -> None:
    """Phones [0, 0, 0, 1, 1, 1, 1, 1] in clusters [0, 0, 0, 0, 1, 1, 1, 2].

    NMI: sklearn.metrics.normalized_mutual_info_score(phones, clusters) of scikit-learn 1.9.1; PNMI: its mutual_info_score over the entropy
    of (3/8, 5/8); purities by hand.
    """
    found = rated([[3, 1], [0, 3], [0, 1]])
    assert found == pytest.approx({"NMI": 0.4650660598590111, "PNMI": 0.5749951688786837, "phone purity": 7 / 8, "cluster purity": 6 / 8})


@given(counts=st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=6), times=st.integers(1, 5))
def test_laws(counts: list[list[int]], times: int) -> None:
    tables = np.array(counts, dtype=float)
    scores = rated(tables)
    assert all(0.0 <= score <= 1.0 + 1e-9 for score in scores.values())
    for same in (tables[::-1], tables[:, ::-1], tables * times, np.pad(tables, ((0, 2), (1, 0)))):
        assert rated(same) == pytest.approx(scores, abs=1e-9)  # names, duplicates and unused names mean nothing
    split = rated(np.concatenate([tables, tables]))  # every cluster falls into two at random: they say nothing more of phones
    for metric, ratio in (("PNMI", 1.0), ("phone purity", 1.0), ("cluster purity", 0.5)):
        assert split[metric] == pytest.approx(ratio * scores[metric], abs=1e-9)
    other = rated(tables + 1)
    for metric, values in agreement(np.stack([tables, tables + 1])).items():
        assert values.tolist() == pytest.approx([scores[metric], other[metric]])


def test_extremes() -> None:
    perfect, chance, one_cluster = rated(np.diag([5, 2, 9])), rated(np.outer([5, 2, 9], [1, 3])), rated([[3, 5]])
    assert perfect == pytest.approx(dict.fromkeys(perfect, 1.0))
    assert (chance["NMI"], chance["PNMI"]) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert chance["phone purity"] == 3 / 4
    assert (one_cluster["NMI"], one_cluster["cluster purity"]) == (0.0, 1.0)
    assert rated([[4], [2]])["PNMI"] == 0.0  # one phone: nothing is to know
    assert set(rated(np.zeros((2, 2))).values()) == {0.0}


def test_only_frames_with_a_phone_are_rated() -> None:
    unknown = np.where(np.arange(400) % 3 == 0, -1, PHONES)
    found = rate_agreement(CODES, unknown, UTTERANCES, 7)
    known = unknown >= 0
    assert {name: number.value for name, number in found.items()} == pytest.approx(
        agreement_by_loops(CODES[known].tolist(), PHONES[known].tolist())
    )
    for number in found.values():
        assert number.interval is not None
        assert number.interval[0] < number.value < number.interval[1]
    assert rate_agreement(CODES, np.full(400, -1), UTTERANCES, 7) == {}


def test_an_interval_knows_how_many_utterances_there_are() -> None:
    few, many = (rate_agreement(np.tile(CODES, n), np.tile(PHONES, n), np.arange(400 * n) // 20, 7)["NMI"] for n in (1, 16))
    assert few.interval is not None
    assert many.interval is not None
    assert many.interval[1] - many.interval[0] == pytest.approx((few.interval[1] - few.interval[0]) / 4, rel=0.15)


def test_use_is_that_of_all_frames() -> None:
    even = rate_use(np.arange(40) % 8, np.arange(40) // 10, 16)
    assert even["effective clusters"].value == pytest.approx(8.0)
    assert even["share of clusters used"].value == 0.5
    assert even["share of clusters used"].interval is None
    assert rate_use(np.zeros(40, dtype=int), np.arange(40) // 10, 16)["effective clusters"].value == 1.0


def test_inertia_is_a_mean_of_frames_and_relative_to_one_center() -> None:
    nearest, single = RANDOM.random(400), 4.0 * np.ones(400)
    found = rate_distances(nearest, single, UTTERANCES)
    assert found["inertia"].value == pytest.approx(nearest.mean())
    assert found["relative inertia"].value == pytest.approx(nearest.mean() / 4.0)
    assert rate_distances(0.0 * nearest, 0.0 * single, UTTERANCES)["relative inertia"].value == 0.0  # nothing varies
