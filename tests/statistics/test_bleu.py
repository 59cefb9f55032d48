"""BLEU of texts whose n-grams are counted by hand, by loops, and by sacreBLEU."""

import math

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.statistics.bleu import Averaging, auto_bleu, bleu, self_bleu, vert
from reference import bleu_loops

AVERAGES: tuple[Averaging, ...] = ("geometric", "arithmetic")


def texts(count: int, seed: int, symbols: int = 4, longest: int = 9) -> list[list[str]]:
    """Draw texts, the empty one among them."""
    random = np.random.default_rng(seed)
    return [[str(symbol) for symbol in random.integers(symbols, size=random.integers(longest))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", [1, 2, 4])
def test_bleu_is_what_its_definition_says(seed: int, order: int) -> None:
    references = [texts(2, 100 * seed + place) for place in range(6)]
    found = bleu(texts(6, seed), references, order=order)
    assert found == pytest.approx(bleu_loops.corpus_bleu(texts(6, seed), references, order))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("averaging", AVERAGES)
def test_self_and_auto_bleu_are_what_their_definitions_say(seed: int, order: int, averaging: Averaging) -> None:
    samples, geometric = texts(7, seed), averaging == "geometric"
    assert self_bleu(samples, order, averaging) == pytest.approx(bleu_loops.self_bleu(samples, order, geometric=geometric))
    own = [bleu_loops.auto_bleu(sample, order, geometric=geometric) for sample in samples]
    assert auto_bleu(samples, order, averaging) == pytest.approx(own)


def test_bleu_as_sacrebleu_computes_it() -> None:
    """What sacreBLEU 2.6.0, `BLEU(tokenize="none", smooth_method="none")`, gives for these."""
    hypotheses = ["the old cook saw a red boat in the dark harbor", "two tigers slept near the river", "my uncle laughed"]
    references = [
        ["the old cook found a red boat in the dark harbor", "an old cook saw the red boat in a dark harbor"],
        ["two tigers slept quietly beside the wide river", "near the river two tigers slept"],
        ["my uncle laughed loudly", "his uncle laughed"],
    ]
    split = [[text.split() for text in known] for known in references]
    assert 100 * bleu([text.split() for text in hypotheses], split) == pytest.approx(69.19033001383555, abs=1e-9)


def test_a_text_that_is_its_reference_and_one_that_is_shorter() -> None:
    text = list("abcde")
    assert bleu([text], [[text]]) == 1.0
    assert bleu([text[:4]], [[text]]) == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu([text], [[text[::-1]]]) == 0.0
    assert bleu([[]], [[text]]) == 0.0


def test_of_two_references_as_near_the_shorter_counts() -> None:
    assert bleu([["a"] * 4], [[["a"] * 3, ["a"] * 5]], order=1) == pytest.approx(1.0)


def test_samples_that_are_alike_and_samples_that_share_nothing() -> None:
    alike = [list("abcd")] * 2
    strangers = [list("ab"), list("cd"), list("ef")]
    for averaging in AVERAGES:
        assert self_bleu(alike, 3, averaging).tolist() == [1.0, 1.0]
        assert self_bleu(strangers, 2, averaging).tolist() == [0.0, 0.0, 0.0]
        assert auto_bleu([*alike, *strangers], 2, averaging).tolist() == [0.0] * 5
        assert auto_bleu([list("ababab"), ["a"] * 6], 2, averaging).tolist() == [1.0, 1.0]


def test_an_n_gram_counts_as_often_as_one_other_sample_has_it() -> None:
    assert self_bleu([list("aaa"), list("ab"), list("aca")], 1, "arithmetic").tolist() == pytest.approx([2 / 3, 1 / 2, 2 / 3])


def test_an_n_gram_that_overlaps_itself_does_not_come_again() -> None:
    assert auto_bleu([list("aaa")], 2, "arithmetic").tolist() == pytest.approx([(1 + 0) / 2])
    assert auto_bleu([list("aaaa")], 2, "arithmetic").tolist() == pytest.approx([(1 + 2 / 3) / 2])


def test_vert_is_the_geometric_mean() -> None:
    assert vert(np.array([0.2, 0.6]), np.array([0.1, 0.1])) == pytest.approx(0.2)
    assert vert(np.array([0.0]), np.array([1.0])) == 0.0


def test_no_samples_repeat_nothing() -> None:
    assert auto_bleu([], 2, "geometric").shape == (0,)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UserError, match="there is 1: draw two or more"):
        self_bleu([["a"]], 2, "geometric")
    for hypotheses, references in (([["a"]], []), ([["a"], ["b"]], [[["a"]], []]), ([], [])):
        with pytest.raises(UserError, match="BLEU compares each hypothesis"):
            bleu(hypotheses, references)
