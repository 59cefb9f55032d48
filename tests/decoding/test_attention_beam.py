"""Joint beam search: a wide beam finds what enumeration finds, its score is the sum of its parts, and a loop ends."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from foresay.contracts import Emissions, SpellingWeights
from foresay.decoding.attention_beam import PATIENCE, AttentionBeam
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.weights import Weights
from reference.spelling_loops import ToySpeller, Weighed, every_text
from reference.toy_language import ToyLanguageModel

SYMBOLS = ("<blank>", "a", "b")
LENGTHS = (4, 3)


def text_of(tokens: tuple[int, ...]) -> str:
    return "".join(SYMBOLS[token] for token in tokens)


@pytest.fixture(scope="module")
def emissions() -> Emissions:
    torch.manual_seed(1)
    return Emissions((2 * torch.randn(2, 4, 3)).log_softmax(-1), torch.tensor(LENGTHS))


@pytest.mark.parametrize(
    "weights",
    [
        Weighed(0, 0, 0, 0, 0),
        Weighed(0.3, 0, 0, 0, 0),
        Weighed(0, 0.7, 0.4, 0, 0),
        Weighed(0, 0, 0, 0.8, -0.3),
        Weighed(0.5, 0.2, 0.3, 0.5, 0.1),
    ],
)
def test_a_wide_beam_finds_what_enumeration_finds(weights: Weighed, emissions: Emissions) -> None:
    speller, model = ToySpeller(LENGTHS, 3), ToyLanguageModel(SYMBOLS[1:])
    fusion = ShallowFusion(SYMBOLS, model, Weights(weights.language, weights.words), None, {0})
    search = AttentionBeam(64, SpellingWeights(weights.ctc, weights.length, weights.coverage), fusion=fusion)
    found = search(speller, emissions.lengths, emissions, text_of, 12)
    for row, every in enumerate(found):
        expected = every_text(speller, row, emissions.log_probabilities[row, : LENGTHS[row]], model, weights)[:12]
        assert len(expected) > 8
        hypotheses = every[: len(expected)]
        assert [one.tokens for one in hypotheses] == [tokens for _, tokens, _, _ in expected]
        assert [one.text for one in hypotheses] == [text_of(tokens) for _, tokens, _, _ in expected]
        for kind, place in (("score", 0), ("acoustic", 2), ("language", 3)):
            assert [getattr(one, kind) for one in hypotheses] == pytest.approx([one[place] for one in expected], abs=1e-4), kind


def test_symbols_are_on_the_best_rising_path_and_as_sure_as_they_were_predicted(emissions: Emissions) -> None:
    speller = ToySpeller(LENGTHS, 3)
    for row, hypotheses in enumerate(AttentionBeam(8, SpellingWeights())(speller, emissions.lengths, None, text_of, 8)):
        for one in hypotheses:
            state, attention, confidences = 0, [], []
            for last, symbol in zip((0, *one.tokens), one.tokens, strict=False):
                state = state * 3 + last
                scores, weights = speller.drawn(row, state)
                attention.append(weights)
                confidences.append(float(scores[symbol].exp()))
            paths = itertools.combinations_with_replacement(range(LENGTHS[row]), len(one.tokens))
            best = max(paths, key=lambda path: math.prod(float(weights[t]) for weights, t in zip(attention, path, strict=True)))
            assert one.frames == best
            assert one.stops == tuple(frame + 1 for frame in best)
            assert one.confidences == pytest.approx(confidences, rel=1e-5)


def test_the_beam_of_one_is_greedy(emissions: Emissions) -> None:
    speller = ToySpeller(LENGTHS, 3)
    for row, (one,) in enumerate(AttentionBeam(1, SpellingWeights())(speller, emissions.lengths, None, text_of)):
        state, last, tokens = 0, 0, []
        while True:
            state = state * 3 + last
            last = int(speller.drawn(row, state)[0].argmax()) if len(tokens) < LENGTHS[row] else 0
            if last == 0:
                break
            tokens.append(last)
        assert one.tokens == tuple(tokens)


class Looping:
    """It repeats a symbol, attending to one frame, or to one frame after the other."""

    def __init__(self, *, stays: bool) -> None:
        self.stays = stays

    def begin(self, beam: int) -> tuple[Tensor, ...]:
        return (torch.zeros(1, beam, 1),)

    def step(self, state: tuple[Tensor, ...], last: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        scores = torch.tensor([-20.0, 0.0, -20.0]).log_softmax(-1).expand(*last.shape, 3)
        place = 0 * state[0] if self.stays else state[0]
        return scores, (torch.arange(60) == place).float(), (state[0] + 1,)


def test_a_loop_ends() -> None:
    for stays, count in ((True, PATIENCE), (False, 60)):
        ((found,),) = AttentionBeam(1, SpellingWeights())(Looping(stays=stays), torch.tensor([60]), None, text_of)
        assert found.tokens == (1,) * count, stays
