"""Edit distance and its alignment, beside plain recursion."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.statistics.edit_distance import align, edit_distance


def _plain(reference: str, hypothesis: str) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        same = reference[i - 1] == hypothesis[j - 1]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (not same))

    return distance(len(reference), len(hypothesis))


@settings(deadline=None, max_examples=100)
@given(st.text("abc", max_size=9), st.text("abcd", max_size=9))
def test_edit_distance_equals_recursion(reference: str, hypothesis: str) -> None:
    assert edit_distance(reference, hypothesis) == _plain(reference, hypothesis)
    assert edit_distance(hypothesis, reference) == edit_distance(reference, hypothesis)


@settings(deadline=None, max_examples=100)
@given(st.text("abc", max_size=9), st.text("abcd", max_size=9))
def test_the_alignment_spells_both_and_costs_the_distance(reference: str, hypothesis: str) -> None:
    edits = align(reference, hypothesis)
    assert [i for i, _ in edits.alignment if i is not None] == list(range(len(reference)))
    assert [j for _, j in edits.alignment if j is not None] == list(range(len(hypothesis)))
    pairs = [(i, j) for i, j in edits.alignment if i is not None and j is not None]
    assert edits.substitutions == sum(reference[i] != hypothesis[j] for i, j in pairs)
    assert edits.deletions == len(reference) - len(pairs)
    assert edits.insertions == len(hypothesis) - len(pairs)
    assert edits.distance == _plain(reference, hypothesis)


def test_words_are_aligned_from_the_end() -> None:
    edits = align(["the", "cat", "sat"], ["the", "bad", "cat", "sit", "down"])
    assert (edits.substitutions, edits.deletions, edits.insertions) == (1, 0, 2)
    assert edits.alignment == ((0, 0), (None, 1), (1, 2), (None, 3), (2, 4))
