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


@settings(deadline=None, max_examples=100)
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_no_alignment_of_as_few_edits_has_more_symbols_right(reference: str, hypothesis: str) -> None:
    @cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The fewest edits of what begins there, and, less than nothing, the most symbols right with so few."""
        if i == len(reference) or j == len(hypothesis):
            return len(reference) - i + len(hypothesis) - j, 0
        right = reference[i] == hypothesis[j]
        ways = [(best(i + 1, j + 1), not right, -right), (best(i + 1, j), 1, 0), (best(i, j + 1), 1, 0)]
        return min((edits + edit, score + more) for (edits, score), edit, more in ways)

    edits = align(reference, hypothesis)
    right = len(reference) - edits.deletions - edits.substitutions
    assert (edits.distance, -right) == best(0, 0)


def test_of_equal_alignments_the_one_with_more_words_right() -> None:
    edits = align(["to", "have"], ["have", "or"])
    assert edits.alignment == ((0, None), (1, 0), (None, 1))


def test_words_are_aligned_from_the_end() -> None:
    edits = align(["the", "cat", "sat"], ["the", "bad", "cat", "sit", "down"])
    assert (edits.substitutions, edits.deletions, edits.insertions) == (1, 0, 2)
    assert edits.alignment == ((0, 0), (None, 1), (1, 2), (None, 3), (2, 4))
