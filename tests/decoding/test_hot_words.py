"""Hot words: what a text gains in all is what its phrases are worth, and a phrase begun in vain is worth nothing."""

import itertools
import math

import pytest
import torch

from foresay.decoding.hot_words import HotWords
from foresay.decoding.trie import Trie
from foresay.errors import UserError

BAR = 1


def total(hot: HotWords, text: tuple[int, ...]) -> tuple[float, list[float]]:
    """The gain of a text, and the sums on the way."""
    state, gained, sums = hot.start, 0.0, []
    for symbol in text:
        gained += hot.gain[state, symbol].item()
        state = int(hot.next[state, symbol])
        sums.append(gained)
    return gained + hot.final[state].item(), sums


def occurrences(text: tuple[int, ...], phrase: tuple[int, ...]) -> int:
    return sum(text[at : at + len(phrase)] == phrase for at in range(len(text)))


@pytest.mark.parametrize("phrases", [[(2, 3)], [(2, 3), (2, 3, 2)], [(2,), (3, 2), (2, 3, 2, 2)], [(2, 2), (2, 2, 2), (3, 3)]])
def test_of_symbols_each_occurrence_counts(phrases: list[tuple[int, ...]]) -> None:
    hot = HotWords(phrases, boost=1.5, symbols=4)
    for text in itertools.product((1, 2, 3), repeat=6):
        assert total(hot, text)[0] == pytest.approx(1.5 * sum(len(phrase) * occurrences(text, phrase) for phrase in phrases)), text


@pytest.mark.parametrize("phrases", [[(2, 3)], [(2, 3), (2, 3, BAR, 2)], [(2,), (2, BAR, 2), (3, BAR, 2)], [(3,), (3, 3), (2, BAR, 3, 3)]])
def test_of_words_each_whole_occurrence_counts(phrases: list[tuple[int, ...]]) -> None:
    hot = HotWords(phrases, boost=2.0, symbols=4, boundary=BAR)
    for text in itertools.product((1, 2, 3), repeat=6):
        whole = (BAR, *text, BAR)
        worth = sum(sum(s != BAR for s in phrase) * occurrences(whole, (BAR, *phrase, BAR)) for phrase in phrases)
        assert total(hot, text)[0] == pytest.approx(2.0 * worth), text


def test_a_phrase_is_boosted_as_it_grows_and_taken_back_where_it_fails() -> None:
    hot = HotWords([(2, 3, 3)], boost=1.0, symbols=4, boundary=BAR)
    assert total(hot, (2, 3, 3)) == (3.0, [1.0, 2.0, 3.0])
    assert total(hot, (2, 3, 2)) == (0.0, [1.0, 2.0, 0.0])
    assert total(hot, (2, 3)) == (0.0, [1.0, 2.0])
    assert total(hot, (2, 3, 3, 2)) == (0.0, [1.0, 2.0, 3.0, 0.0]), "no part of a longer word"


@pytest.mark.parametrize(
    "phrases, boost, message",
    [
        ([], 1.0, "no hot words"),
        ([()], 1.0, "no symbol"),
        ([(4,)], 1.0, "symbol 4"),
        ([(0, 2)], 1.0, "symbol 0"),
        ([(2, BAR)], 1.0, "a boundary at its edge"),
        ([(BAR, 2)], 1.0, "a boundary at its edge"),
        ([(2,)], 0.0, "above 0"),
        ([(2,)], -1.0, "above 0"),
        ([(2,)], math.nan, "above 0"),
        ([(2,)], 1e9, "up to 100, not 1e"),
    ],
)
def test_what_is_no_phrase_is_refused(phrases: list[tuple[int, ...]], boost: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        HotWords(phrases, boost, symbols=4, boundary=BAR)


def test_a_trie_holds_its_sequences() -> None:
    sequences = [(1, 2), (1, 2, 3), (3,), (1, 2), (2, 2, 2)]
    trie = Trie(sequences, 4)
    assert trie.size == 8
    assert trie.depth.tolist() == [0, 1, 1, 1, 2, 2, 3, 3]
    for sequence, end in zip(sequences, trie.ends.tolist(), strict=True):
        node = 0
        for symbol in sequence:
            child = int(trie.children[node, symbol])
            assert (trie.parent[child], trie.symbol[child], trie.depth[child]) == (node, symbol, trie.depth[node] + 1)
            node = child
        assert node == end
    assert (trie.children > 0).sum() == 7
    highest = trie.highest(torch.tensor([-5.0, -4.0, -1.0, -6.0, -2.0]))
    assert highest[0] == highest[trie.ends[2]] == -1
    assert highest[trie.ends[0]] == highest[trie.ends[1]] == highest[trie.children[0, 1].long()] == -4
    assert highest[trie.children[0, 2].long()] == highest[trie.ends[4]] == -2
