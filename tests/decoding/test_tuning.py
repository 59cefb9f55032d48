"""Weights found on n-best lists: the surface is that of ranking by hand, and the flat region's centre is taken."""

import pytest
import torch

from foresay.contracts.recognition import Hypothesis
from foresay.decoding.rescoring import NBest
from foresay.decoding.tuning import tune, tune_search
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from foresay.statistics.edit_distance import edit_distance

UTTERANCES = 60


def made(seed: int, a: float = 0.8, b: float = -1.0) -> tuple[list[list[Hypothesis]], list[str]]:
    """Lists in which the right hypothesis is, by far, the one that weights near (a, b) put first."""
    generator = torch.Generator().manual_seed(seed)
    nbest, references = [], []
    for _ in range(UTTERANCES):
        several = []
        for n in range(6):
            words = ["w"] * int(torch.randint(1, 6, (1,), generator=generator))
            language = -10 * torch.rand(1, generator=generator).item()
            rank = -4.0 * n + torch.rand(1, generator=generator).item()
            several.append(
                Hypothesis(" ".join([*words, f"x{n}"]), 0.0, acoustic=rank - a * language - b * (len(words) + 1), language=language)
            )
        nbest.append(several)
        references.append(several[0].text)
    return nbest, references


def rate(nbest: NBest, references: list[str], a: float, b: float) -> float:
    firsts = [max(found, key=lambda h: h.acoustic + a * h.language + b * len(h.text.split())).text.split() for found in nbest]
    errors = sum(edit_distance(reference.split(), first) for reference, first in zip(references, firsts, strict=True))
    return errors / sum(len(reference.split()) for reference in references)


def test_the_surface_is_that_of_ranking_by_hand() -> None:
    nbest, references = made(0)
    tuned = tune(nbest, references, sobol=16, grid=3)
    assert len(tuned.points) == len(tuned.rates) == len(tuned.flat) == 25
    assert list(tuned.rates) == pytest.approx([rate(nbest, references, a, b) for a, b in tuned.points])
    assert tuned.lowest == min(tuned.rates)
    assert list(tuned.flat) == [r <= tuned.lowest + tuned.standard_error for r in tuned.rates]
    assert (tuned.weights.language, tuned.weights.words) in [point for point, flat in zip(tuned.points, tuned.flat, strict=True) if flat]
    assert tuned.rate == pytest.approx(rate(nbest, references, tuned.weights.language, tuned.weights.words))


def test_the_weights_that_made_the_lists_are_found() -> None:
    for seed in range(3):
        nbest, references = made(seed)
        tuned = tune(nbest, references, seed=seed)
        assert tuned.rate <= 0.03 < rate(nbest, references, 0.0, 0.0)
        assert tuned.weights.language == pytest.approx(0.8, abs=0.3)
        assert tuned.weights.words == pytest.approx(-1.0, abs=1.0)


def test_the_centre_is_far_from_what_is_worse() -> None:
    """Where only b < 0 is right, and all of it equally, the middle of it is taken."""
    nbest = [[Hypothesis("a", 0.0, acoustic=-0.0), Hypothesis("a b", 0.0, acoustic=0.0)] for _ in range(20)]
    tuned = tune(nbest, ["a"] * 20, sobol=256)
    assert tuned.rate == tuned.lowest == 0
    assert tuned.weights.words == pytest.approx(-2.5, abs=0.7)
    assert 0.5 < tuned.weights.language < 2.0


def test_a_second_model_is_weighed_beside_the_first() -> None:
    nbest, references = made(3)
    second = [[h.language for h in found] for found in nbest]
    others = [[Hypothesis(h.text, h.acoustic, language=-n) for n, h in enumerate(found)] for found in nbest]
    tuned = tune(others, references, second=second)
    assert tuned.weights.language == pytest.approx(0.8, abs=0.3)
    sure = [[Hypothesis(h.text, -100.0 * n) for n, h in enumerate(found)] for found in nbest]
    assert tune(sure, references, second=second).lowest == 0, "the first is right by the score of the search alone"


def test_a_search_is_repeated_with_what_was_found_until_nothing_is_new() -> None:
    nbest, references = made(4)
    asked: list[Weights] = []

    def search(weights: Weights) -> NBest:
        """Return the three that rank best."""
        asked.append(weights)
        value = lambda h: h.acoustic + weights.language * h.language + weights.words * len(h.text.split())  # noqa: E731
        return [sorted(found, key=value, reverse=True)[:3] for found in nbest]

    tuned = tune_search(search, references, start=Weights(2.4, 4.0), rounds=6)
    assert 2 <= len(asked) <= 6
    assert asked[0] == Weights(2.4, 4.0)
    assert rate(nbest, references, tuned.weights.language, tuned.weights.words) <= 0.03
    assert tune_search(search, references, rounds=1)


def test_where_nothing_was_found_all_words_are_missing() -> None:
    nbest, references = made(5)
    nbest[0] = []
    tuned = tune(nbest, references)
    assert tuned.lowest >= len(references[0].split()) / sum(len(reference.split()) for reference in references)


@pytest.mark.parametrize("references, message", [(["a"], "2 lists of hypotheses for 1"), (["", " "], "no words")])
def test_what_cannot_be_tuned_on_is_refused(references: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tune([[], []], references)
