"""Shares of parts in parts, against the formula written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresay.corpora.plans.balance import balanced

AMOUNTS = np.array([8.0, 8.0, 0.0, 2.0, 50.0, 30.0, 2.0])
CORPUS = np.array([0, 0, 0, 0, 1, 1, 1])
LANGUAGE = np.array([0, 0, 1, 2, 0, 0, 2])


def test_as_recorded_nothing_changes() -> None:
    assert balanced(AMOUNTS, [(CORPUS, 1.0), (LANGUAGE, 1.0)]) * AMOUNTS == pytest.approx(AMOUNTS)


def test_languages_share_out_what_their_corpus_was_given() -> None:
    """By hand: corpora of 18 and 82 get the square roots of that; their languages of 16 and 2, and of 80 and 2, every one the same."""
    first, second = (np.sqrt(n) / (np.sqrt(18) + np.sqrt(82)) * 100 for n in (18, 82))
    drawn = balanced(AMOUNTS, [(CORPUS, 0.5), (LANGUAGE, 0.0)]) * AMOUNTS
    assert drawn == pytest.approx([first / 4, first / 4, 0, first / 2, second / 2 * 50 / 80, second / 2 * 30 / 80, second / 2])


@given(
    amounts=st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(any),
    exponents=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 99),
)
def test_the_sum_stays_and_shares_are_powers(amounts: list[float], exponents: tuple[float, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    units, outer, inner = np.round(amounts, 3), *random.integers(0, 3, (2, len(amounts)))
    drawn = balanced(units, [(outer, exponents[0]), (inner, exponents[1])]) * units
    assert drawn.sum() == pytest.approx(units.sum())
    recorded, given_out = (np.bincount(outer, amount, minlength=3) for amount in (units, drawn))
    ratios = [h / r ** exponents[0] for h, r in zip(given_out, recorded, strict=True) if r > 0]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) if ratios else not units.any()
