"""Decoding of hidden Markov models against every sentence and every path of a small graph."""

import math

import pytest
import torch

from foresay.contracts import Emissions, Encoded, Topology
from foresay.decoding.hmm_search import StateMoves, StateSearch
from foresay.decoding.lexicon_beam import LexiconBeam
from foresay.decoding.weights import Weights
from reference.state_loops import States, TokenLoops, drawn, every_sentence, language
from reference.toy_language import ToyLanguageModel

WORDS: dict[str, list[tuple[int, ...]]] = {"a": [(1,)], "aa": [(1, 1)], "ab": [(1, 2), (2, 1)], "ba": [(2, 1)], "c": [(3,)]}
"""With homophones (ab, ba), two pronunciations of one word, doubled symbols, and words that begin others."""
SIZES = (2, 2, 1, 2)
"""Of silence and three symbols."""
WIDE = 3000


def moves_of(states: States) -> StateMoves:
    return StateMoves(Topology(states.chains, torch.tensor(states.stay), torch.tensor(states.go)))


def scores_of(seed: int, frames: int, states: States, utterances: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(utterances, frames, len(states.stay), generator=generator)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fused", [False, True])
def test_a_wide_beam_finds_the_best_of_every_sentence_and_path(seed: int, fused: bool) -> None:  # noqa: FBT001 - with a model or none
    """Words, score and its parts, symbols and where they begin, silence among them."""
    states = drawn(seed, SIZES)
    model = ToyLanguageModel(tuple(WORDS), seed=seed) if fused else None
    a, b = (0.7, -0.4) if fused else (0.0, 0.0)
    scores = scores_of(seed, 7, states)
    found = every_sentence(scores[0].tolist(), states, WORDS)
    totals = {words: path.score + a * language(words, model) + b * len(words) for words, path in found.items()}
    search = LexiconBeam(WORDS, moves_of(states), beam=WIDE, weights=Weights(a, b), language_model=model)
    ((best, *_),) = search(Emissions(scores, torch.tensor([7])))
    words = tuple(best.text.split())
    assert best.score == pytest.approx(max(totals.values()), abs=1e-4)
    assert totals[words] == pytest.approx(best.score, abs=1e-4)  # homophones have the same without a model
    assert best.language == pytest.approx(language(words, model), abs=1e-4)
    assert best.acoustic == pytest.approx(found[words].score, abs=1e-4)
    assert (best.tokens, best.frames) == found[words][1:]


def test_without_a_lexicon_symbols_are_words() -> None:
    states = drawn(7, SIZES)
    symbols = {name: [(number,)] for number, name in enumerate("abc", 1)}
    model = ToyLanguageModel(tuple("abc"), seed=7)
    scores = scores_of(7, 6, states)
    found = every_sentence(scores[0].tolist(), states, symbols)
    totals = {words: path.score + 0.9 * language(words, model) for words, path in found.items()}
    search = LexiconBeam(symbols, moves_of(states), beam=WIDE, weights=Weights(0.9), language_model=model)
    ((best, *_),) = search(Emissions(scores, torch.tensor([6])))
    assert tuple(best.text.split()) == max(totals, key=totals.__getitem__)
    assert best.score == pytest.approx(max(totals.values()), abs=1e-4)


def test_the_result_does_not_depend_on_batch_mates() -> None:
    states = drawn(1, SIZES)
    lengths = [20, 0, 1, 33, 17]
    emissions = Emissions(scores_of(1, 33, states, 5), torch.tensor(lengths))
    search = LexiconBeam(WORDS, moves_of(states), beam=24, weights=Weights(0.9, 0.2), language_model=ToyLanguageModel(tuple(WORDS), seed=3))
    together = search(emissions, best=3)
    for b, length in enumerate(lengths):
        (alone,) = search(Emissions(emissions.log_probabilities[b : b + 1, :length], torch.tensor([length])), best=3)
        assert [(h.text, h.tokens, h.frames, h.ends) for h in alone] == [(h.text, h.tokens, h.frames, h.ends) for h in together[b]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[b]], abs=1e-3)


def test_times_do_not_depend_on_batch_mates() -> None:
    states = drawn(3, SIZES)
    lengths = [9, 15]
    scores = scores_of(3, 15, states, 2)
    search = StateSearch(WORDS, moves_of(states), scale=0.7)
    together = [found[0] for found in search(Encoded(scores, torch.tensor(lengths)))]
    for b, length in enumerate(lengths):
        ((alone,),) = search(Encoded(scores[b : b + 1, :length], torch.tensor([length])))
        assert (alone.tokens, alone.frames, alone.stops) == (together[b].tokens, together[b].frames, together[b].stops)
        assert alone.confidences == pytest.approx(together[b].confidences, abs=1e-4)


def test_a_narrow_beam_is_seldom_worse_than_a_wide_one() -> None:
    states = drawn(2, SIZES)
    emissions = Emissions(scores_of(2, 30, states, 40), torch.full((40,), 30))
    model = ToyLanguageModel(tuple(WORDS), seed=5)

    def searched(beam: int) -> list[float]:
        search = LexiconBeam(WORDS, moves_of(states), beam=beam, weights=Weights(0.9, 0.3), language_model=model)
        return [found[0].score for found in search(emissions)]

    narrow, wide = searched(16), searched(200)
    assert all(a <= b + 1e-3 for a, b in zip(narrow, wide, strict=True))
    assert sum(abs(a - b) < 1e-3 for a, b in zip(narrow, wide, strict=True)) >= 34


def test_what_is_cut_off_is_left_out() -> None:
    """A word whose last state is not reached, and an utterance that is too short for anything."""
    states = States([[0], [1, 2], [3, 4]], [math.log(0.5)] * 5, [math.log(0.5)] * 5)
    path = torch.tensor([[0, 1, 2, 2, 3, 3]])
    scores = torch.full((1, 6, 5), -30.0).scatter(2, path[..., None], 0.0)
    search = LexiconBeam({"a": [(1,)], "bb": [(2, 2)]}, moves_of(states))
    ((best, *_),) = search(Emissions(scores, torch.tensor([6])))
    assert best.text == "a"
    ((best, *_),) = search(Emissions(scores[:, 1:], torch.tensor([1])))
    assert best.text == ""


def test_symbols_are_written_without_silence_with_times_and_confidences() -> None:
    """Of likelihoods that say one state a frame: a symbol stops where the next one begins, or a silence."""
    states = [[0, 1], [2], [3, 4]]
    stay, go = torch.full((5,), 0.6).log(), torch.full((5,), 0.4).log()
    path = torch.tensor([0, 1, 1, 2, 2, 3, 4, 2, 2, 0, 1])
    sure = torch.tensor([0.8] * 7 + [0.8, 0.4] + [0.8] * 2)[:, None]
    probabilities = ((1 - sure) / 4).expand(-1, 5).scatter(1, path[:, None], sure)
    likelihoods = Encoded((probabilities.log() * 4 + torch.randn(11, 1))[None], torch.tensor([11]))
    search = StateSearch({"a": [(1,)], "ab": [(1, 2)]}, StateMoves(Topology(states, stay, go)), scale=0.25)
    ((best,),) = search(likelihoods)
    assert (best.text, best.tokens, best.ends) == ("ab a", (1, 2, 1), (2, 3))
    assert (best.frames, best.stops) == ((3, 5, 7), (5, 7, 9))
    assert best.confidences == pytest.approx((0.8, 0.85, 0.6))
    paths = 10 * math.log(0.8) + math.log(0.4) + 3 * math.log(0.6) + 8 * math.log(0.4)
    assert best.acoustic == best.score == pytest.approx(paths, abs=1e-4)
    loop = StateSearch(
        {"a": [(1,)], "b": [(2,)]}, StateMoves(Topology(states, stay, go)), scale=0.25, text_of=lambda tokens: f"{list(tokens)}"
    )
    ((best,),) = loop(likelihoods)
    assert (best.text, best.tokens, best.ends) == ("[1, 2, 1]", (1, 2, 1), ())


def test_nothing_but_silence_is_no_text() -> None:
    even = torch.full((3,), math.log(0.5))
    scores = torch.full((1, 4, 3), -5.0).index_fill(2, torch.tensor([0]), 0.0)
    ((best, *_),) = StateSearch({"a": [(1,)]}, StateMoves(Topology([[0], [1, 2]], even, even)), scale=1.0)(
        Encoded(scores, torch.tensor([4]))
    )
    assert (best.text, best.tokens, best.stops, best.confidences) == ("", (), (), ())


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_equals_plain_token_passing(seed: int) -> None:
    """Over more frames than can be enumerated."""
    states = drawn(seed, SIZES)
    model = ToyLanguageModel(tuple(WORDS), seed=seed) if seed % 2 else None
    scores = scores_of(seed, 25, states)
    search = LexiconBeam(WORDS, moves_of(states), beam=400, weights=Weights(0.9 if model else 0.0, 0.3), language_model=model)
    ((best, *_),) = search(Emissions(scores, torch.tensor([25])))
    score, words = TokenLoops(WORDS, states, model, 0.9, 0.3).search(scores[0].tolist())
    assert best.score == pytest.approx(score, abs=1e-3)
    assert model is None or tuple(best.text.split()) == words
    assert len(words) > 1
