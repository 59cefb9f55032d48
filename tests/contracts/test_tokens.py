"""Tokens: runs of equal symbols merged and repeated again, against itertools, and other tokenizers' refused."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.contracts import Tokens
from foresay.errors import UserError

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=4)


def _tokens(rows: list[list[int]]) -> Tokens:
    longest = max(map(len, rows))
    padded = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in rows])  # beyond the end stands what must not be counted
    return Tokens(padded[:, None], torch.tensor([len(row) for row in rows]), 3, "made", 50.0)


@given(ROWS)
def test_merging_is_run_length_coding(rows: list[list[int]]) -> None:
    merged = _tokens(rows).merged()
    assert (merged.frame_rate, merged.vocabulary, merged.fingerprint) == (None, 3, "made")
    assert merged.durations is not None
    for number, row in enumerate(rows):
        runs = [(symbol, len(list(run))) for symbol, run in itertools.groupby(row)]
        length = int(merged.lengths[number])
        assert list(zip(merged.ids[number, 0, :length].tolist(), merged.durations[number, :length].tolist(), strict=True)) == runs


@given(ROWS)
def test_repeating_inverts_merging(rows: list[list[int]]) -> None:
    again = _tokens(rows).merged().expanded(50.0)
    assert again.frame_rate == 50.0
    assert [row[0, :length].tolist() for row, length in zip(again.ids, again.lengths.tolist(), strict=True)] == rows


def test_runs_of_several_levels_are_those_in_which_all_are_equal() -> None:
    merged = Tokens(torch.tensor([[[1, 1, 1, 2], [5, 5, 6, 6]]]), torch.tensor([4]), 7, "made").merged()
    assert merged.ids.tolist() == [[[1, 1, 2], [5, 6, 6]]]
    assert merged.durations is not None
    assert merged.durations.tolist() == [[2, 1, 1]]


def test_what_is_refused() -> None:
    tokens = _tokens([[0, 1]])
    with pytest.raises(ValueError, match="no durations"):
        tokens.expanded(50.0)
    tokens.require("made", "the vocoder")
    with pytest.raises(UserError, match="the vocoder knows those of tokenizer other"):
        tokens.require("other", "the vocoder")
