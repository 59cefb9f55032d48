"""Lexicon beam search against every text of a small lattice, against a search in plain Python, and against flashlight's numbers."""

import functools
import math
from collections.abc import Sequence

import pytest
import torch

from foresay.contracts.recognition import Emissions
from foresay.decoding.hot_words import HotPhrases
from foresay.decoding.lexicon_beam import LexiconBeam, Paths, Unknown
from foresay.decoding.moves import CTCMoves, FlashlightMoves, Moves
from foresay.decoding.weights import Weights, nats
from foresay.errors import UserError
from reference.ctc_loops import drawn, every_text, log_sum
from reference.lexicon_loops import LexiconLoops, peaky, ranked, segmented
from reference.toy_language import ToyLanguageModel

BAR = 1
WIDE = 300
WORDS: dict[str, list[tuple[int, ...]]] = {
    "a": [(2,)],
    "b": [(3,)],
    "aa": [(2, 2)],
    "ab": [(2, 3), (3, 2)],
    "ba": [(3, 2)],
    "bab": [(3, 2, 3)],
}
"""With homophones (ab, ba), several spellings of one word, doubled symbols, and words that begin others."""

SIZES = {word: len(several[0]) for word, several in WORDS.items()}
PHRASES = {("a", "b"): 2, ("b",): 1, ("b", "a", "b"): 3}
"""With the symbols that spell them."""


def with_bar(words: dict[str, list[tuple[int, ...]]]) -> dict[str, list[tuple[int, ...]]]:
    return {word: [(*spelling, BAR) for spelling in several] for word, several in words.items()}


def best_words(search: LexiconBeam, emissions: Emissions, best: int = WIDE) -> list[list[tuple[float, tuple[str, ...]]]]:
    return [[(h.score, tuple(h.text.split())) for h in found] for found in search(emissions, best)]


@pytest.mark.parametrize("boundary", [None, BAR])
@pytest.mark.parametrize("paths", ["sum", "max"])
def test_exact_ctc_by_every_text(paths: Paths, boundary: int | None) -> None:
    """The probability of words is that of all texts that spell them; the last boundary may be missing."""
    emissions = drawn(0, utterances=3, frames=6, symbols=4)
    model = ToyLanguageModel(tuple(reversed(WORDS)), seed=1)
    words = WORDS if boundary is None else with_bar(WORDS)
    loops = LexiconLoops(words, model, a=0.7, b=-0.4)
    search = LexiconBeam(
        WORDS,
        CTCMoves(4),
        boundary=boundary,
        beam=5000 if paths == "sum" else 20000,
        weights=Weights(0.7, -0.4),
        language_model=model,
        paths=paths,
    )
    for hypotheses, scores in zip(search(emissions, 4), emissions.log_probabilities, strict=True):
        found: dict[tuple[str, ...], list[float]] = {}
        for text, score in every_text(scores.tolist(), log_sum if paths == "sum" else max).items():
            for ending in [()] if boundary is None or text[-1:] == (BAR,) else [(), (BAR,)]:
                for sentence in segmented((*text, *ending), loops.words):
                    found.setdefault(sentence, []).append(score)
        expected = ranked({sentence: (log_sum if paths == "sum" else max)(several) for sentence, several in found.items()}, loops)
        count = len(hypotheses) if paths == "sum" else 1  # of histories that end in one word, one is kept
        assert [tuple(h.text.split()) for h in hypotheses[:count]] == [sentence for _, sentence in expected[:count]]
        assert [h.score for h in hypotheses[:count]] == pytest.approx([score for score, _ in expected[:count]], abs=1e-4)
        for h in hypotheses[:count]:
            assert h.language == pytest.approx(loops.language(h.text.split(), ended=True), abs=1e-4)
            assert h.acoustic == pytest.approx(h.score - loops.added(h.text.split()), abs=1e-4)


@pytest.mark.parametrize("flashlight", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_random_trials_equal_plain_python(seed: int, flashlight: bool) -> None:  # noqa: FBT001 - either convention
    """The n best, over more frames than can be enumerated; words, scores, with and without a boundary and a language model."""
    boundary = BAR if seed % 2 else None
    model = ToyLanguageModel(tuple(WORDS), seed=seed) if seed % 3 else None
    a = 0.9 if model else 0.0
    emissions = Emissions(peaky(seed, frames=7, symbols=4), torch.tensor([7]))
    loops = LexiconLoops(WORDS if boundary is None else with_bar(WORDS), model, a=a, b=0.3)
    moves = FlashlightMoves(4) if flashlight else CTCMoves(4)
    for paths in ("max",) if flashlight else ("sum", "max"):  # flashlight adds up different words that end in one state
        search = LexiconBeam(WORDS, moves, boundary=boundary, beam=3000, weights=Weights(a, 0.3), language_model=model, paths=paths)
        rows, optional = emissions.log_probabilities[0].tolist(), None if flashlight else boundary
        expected = ranked(loops.search(rows, flashlight=flashlight, paths=paths, boundary=optional), loops)
        (found,) = best_words(search, emissions, best=5)
        count = len(found) if paths == "sum" else 1
        assert count
        assert [score for score, _ in found[:count]] == pytest.approx([score for score, _ in expected[:count]], abs=2e-4)
        scored = {words: score for score, words in expected}  # homophones have the same, without a model
        assert [score for score, _ in found[:count]] == pytest.approx([scored[words] for _, words in found[:count]], abs=2e-4)


def test_narrow_beams_are_seldom_worse_than_wide_ones() -> None:
    model = ToyLanguageModel(tuple(WORDS), seed=5)
    emissions = Emissions(torch.cat([peaky(seed, frames=30, symbols=4) for seed in range(40)]), torch.full((40,), 30))

    def searched(beam: int, paths: Paths) -> list[tuple[float, tuple[str, ...]]]:
        search = LexiconBeam(WORDS, CTCMoves(4), boundary=BAR, beam=beam, weights=Weights(0.9, 0.3), language_model=model, paths=paths)
        return [found[0] for found in best_words(search, emissions, best=1)]

    beams: list[tuple[int, Paths]] = [(48, "sum"), (12, "max")]  # a sum keeps apart what has one state
    for beam, paths in beams:
        narrow, wide = searched(beam, paths), searched(200, paths)
        assert all(a[0] <= b[0] + 1e-3 for a, b in zip(narrow, wide, strict=True) if a[1] == b[1] or paths == "max")
        assert sum(a[1] == b[1] for a, b in zip(narrow, wide, strict=True)) >= 36


class Written(ToyLanguageModel):
    """log10 p(a | begin) = -0.2, p(b | begin) = -0.9, p(end | a) = p(end | b) = -0.8, and unigrams as in the toy of the golden numbers."""

    def __init__(self) -> None:
        super().__init__(("a", "b"))
        self.table = math.log(10) * torch.tensor([[-0.7, -0.7, -0.8], [-0.7, -0.7, -0.8], [-0.2, -0.9, -0.9]])


@pytest.mark.parametrize(
    "weights, paths, score",
    [
        (Weights(nats(1.0), 0.0), "max", -1.9571),
        (Weights(nats(1.0), 1.0), "max", -0.9571),
        (Weights(nats(2.0), 0.0), "max", -2.9571),
        (Weights(nats(1.0), 0.0), "sum", -1.2307),
    ],
)
def test_numbers_of_flashlight(weights: Weights, paths: Paths, score: float) -> None:
    """flashlight-text 0.0.7, with an ARPA of these probabilities, silence and blank the same symbol."""
    scores = torch.tensor([[[0.1, 0.05, 0.8, 0.05], [0.1, 0.8, 0.05, 0.05], [0.6, 0.2, 0.1, 0.1]]]).log()
    search = LexiconBeam(
        {"a": [(2,)], "b": [(3,)]}, FlashlightMoves(4), boundary=BAR, weights=weights, language_model=Written(), paths=paths
    )
    (best, *_), *_ = search(Emissions(scores, torch.tensor([3])))
    assert best.text == "a"
    assert best.score == pytest.approx(score, abs=1e-4)


def test_flashlight_completes_a_word_by_a_repeated_symbol() -> None:
    """Two frames of `a` are the word `aa` to flashlight-text 0.0.7, with a score of 2 log 0.7; CTC needs a blank between."""
    emissions = Emissions(torch.tensor([[[0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.7, 0.1]]]).log(), torch.tensor([2]))
    words = {"aa": [(2, 2)], "b": [(3,)]}
    (best, *_), *_ = LexiconBeam(words, FlashlightMoves(4), paths="max")(emissions)
    assert (best.text, best.score) == ("aa", pytest.approx(2 * math.log(0.7), abs=1e-5))
    (best, *_), *_ = LexiconBeam(words, CTCMoves(4), paths="max")(emissions)
    assert best.text != "aa"


def test_flashlight_sums_blanks_twice_and_words_that_are_one_state() -> None:
    """All paths together, between words as blank and as silence; and homophones, of which one is left with the sum of both."""
    emissions = Emissions(peaky(3, frames=6, symbols=4), torch.tensor([6]))
    loops = LexiconLoops({"a": [(2,)]}, None, a=0.0, b=0.0)
    (found,) = LexiconBeam({"a": [(2,)]}, FlashlightMoves(4), beam=500, paths="sum")(emissions, 500)
    expected = loops.search(emissions.log_probabilities[0].tolist(), flashlight=True)
    assert log_sum([h.score for h in found]) == pytest.approx(log_sum(list(expected.values())), abs=1e-4)
    one = Emissions(torch.tensor([[[0.1, 0.1, 0.7, 0.1]]]).log(), torch.tensor([1]))
    ((best, *_),) = LexiconBeam({"a": [(2,)], "b": [(2,)]}, FlashlightMoves(4), paths="sum")(one, 5)
    assert best.score == pytest.approx(math.log(1.4), abs=1e-5)


def test_tokens_and_frames() -> None:
    path = [0, 2, 2, 1, 1, 0, 3, 3, 2, 0]
    scores = torch.full((1, 10, 4), 0.01).scatter(2, torch.tensor(path)[None, :, None], 0.97).log()
    for paths in ("sum", "max"):
        ((best,),) = LexiconBeam(WORDS, CTCMoves(4), boundary=BAR, paths=paths)(Emissions(scores, torch.tensor([10])))
        assert best.text in ("a ba", "a ab")
        assert (best.tokens, best.frames) == ((2, 1, 3, 2), (1, 3, 6, 8))
    assert best.score == best.acoustic == pytest.approx(10 * math.log(0.97), abs=1e-4)


@pytest.mark.parametrize("moves", [CTCMoves(4), FlashlightMoves(4)])
@pytest.mark.parametrize("paths", ["sum", "max"])
def test_the_result_does_not_depend_on_batch_mates(paths: Paths, moves: Moves) -> None:
    lengths = [25, 0, 1, 40, 17]
    emissions = Emissions(torch.cat([peaky(seed, 40, 4) for seed in range(5)]), torch.tensor(lengths))
    model = ToyLanguageModel(tuple(WORDS), seed=3)
    search = LexiconBeam(WORDS, moves, boundary=BAR, beam=16, weights=Weights(0.9, 0.2), language_model=model, paths=paths)
    together = search(emissions, best=3)
    for b, length in enumerate(lengths):
        (alone,) = search(Emissions(emissions.log_probabilities[b : b + 1, :length], torch.tensor([length])), best=3)
        assert [(h.text, h.tokens, h.frames) for h in alone] == [(h.text, h.tokens, h.frames) for h in together[b]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[b]], abs=1e-3)


def test_hot_words_come_out_and_count_in_the_score() -> None:
    emissions = Emissions(torch.tensor([[[0.1, 0.1, 0.45, 0.35], [0.1, 0.8, 0.05, 0.05]]]).log(), torch.tensor([2]))
    phrases = HotPhrases(["b"], 1.0, SIZES)
    plain, hot = (LexiconBeam(WORDS, CTCMoves(4), boundary=BAR, hot_words=hot_words, paths="sum") for hot_words in (None, phrases))
    (first, *_), *_ = plain(emissions, 3)
    (boosted, *_), *_ = hot(emissions, 3)
    assert (first.text, boosted.text) == ("a", "b")
    assert boosted.acoustic == pytest.approx(boosted.score - 1.0)
    with pytest.raises(UserError, match="hot word 'c' is not in the lexicon"):
        HotPhrases(["a c"], 1.0, SIZES)


def worth(words: Sequence[str]) -> float:
    """What phrases are worth in a text, each occurrence for itself."""
    return 0.8 * sum(size * sum(tuple(words[n : n + len(p)]) == p for n in range(len(words))) for p, size in PHRASES.items())


@pytest.mark.parametrize("paths", ["sum", "max"])
def test_hot_phrases_count_wherever_they_occur(paths: Paths) -> None:
    """The best hypotheses are the best of all texts with what their phrases are worth: those that were begun in vain nothing."""
    emissions = drawn(5, utterances=3, frames=6, symbols=4)
    model = ToyLanguageModel(tuple(WORDS), seed=1)
    loops = LexiconLoops(WORDS, model, a=0.7, b=-0.4)
    hot = HotPhrases([" ".join(phrase) for phrase in PHRASES], 0.8, SIZES)
    search = LexiconBeam(WORDS, CTCMoves(4), beam=20_000, weights=Weights(0.7, -0.4), language_model=model, paths=paths, hot_words=hot)
    for hypotheses, scores in zip(search(emissions, 4), emissions.log_probabilities, strict=True):
        found: dict[tuple[str, ...], list[float]] = {}
        for text, score in every_text(scores.tolist(), log_sum if paths == "sum" else max).items():
            for sentence in segmented(text, loops.words):
                found.setdefault(sentence, []).append(score)
        totals = {s: (log_sum if paths == "sum" else max)(several) + loops.added(s) + worth(s) for s, several in found.items()}
        expected = sorted(totals, key=lambda sentence: -totals[sentence])
        count = len(hypotheses) if paths == "sum" else 1  # of histories that are one state, one is kept
        assert [tuple(h.text.split()) for h in hypotheses[:count]] == expected[:count]
        for h in hypotheses[:count]:
            words = tuple(h.text.split())
            assert h.score == pytest.approx(totals[words], abs=1e-4)
            assert h.acoustic == pytest.approx(totals[words] - loops.added(words) - worth(words), abs=1e-4)
    assert max(worth(sentence) for sentence in expected[:4]) > 0


def test_what_is_not_complete_is_left_out() -> None:
    path = [2, 1, 3, 3, 3]
    scores = torch.full((1, 5, 4), 0.0).scatter(2, torch.tensor(path)[None, :, None], 1.0).log()
    ((best,),) = LexiconBeam({"a": [(2,)], "bb": [(3, 3)]}, CTCMoves(4), boundary=BAR)(Emissions(scores, torch.tensor([5])))
    assert (best.text, best.score) == ("a", pytest.approx(0.0))


def test_a_threshold_drops_what_is_far_below_the_best() -> None:
    emissions = Emissions(peaky(1, 12, 4), torch.tensor([12]))
    (some,), (all_,) = (LexiconBeam(WORDS, CTCMoves(4), boundary=BAR, threshold=threshold)(emissions, 50) for threshold in (1.5, math.inf))
    assert 1 <= len(some) < len(all_)
    assert some[0].score == all_[0].score
    assert min(h.score for h in some) > some[0].score - 2


@pytest.mark.parametrize(
    "spellings, message",
    [
        ({}, "the lexicon is empty"),
        ({"a": []}, "'a' has no spelling"),
        ({"a": [()]}, "'a' is spelled with no symbol"),
        ({"a": [(2, 4)]}, "'a' is spelled with symbol 4"),
        ({"a": [(0,)]}, "'a' is spelled with symbol 0"),
        ({"a": [(2, BAR)]}, "'a' is spelled with the boundary"),
    ],
)
def test_a_lexicon_of_another_vocabulary_is_refused(spellings: dict[str, list[tuple[int, ...]]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LexiconBeam(spellings, CTCMoves(4), boundary=BAR)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UserError, match=r"lacks 6 of the lexicon's 6 words, such as 'a'; it has 'A', 'B'.*capital"):
        LexiconBeam(WORDS, CTCMoves(4), language_model=ToyLanguageModel(("A", "B")))
    with pytest.raises(UserError, match="beam must be 1"):
        LexiconBeam(WORDS, CTCMoves(4), beam=0)
    with pytest.raises(UserError, match="threshold"):
        LexiconBeam(WORDS, CTCMoves(4), threshold=0.0)
    with pytest.raises(UserError, match="5 symbols and the vocabulary 4"):
        LexiconBeam(WORDS, CTCMoves(4))(drawn(0, 1, 2, 5))


KNOWN: dict[str, list[tuple[int, ...]]] = {"ab": [(2, 3)], "a": [(2,)], "bba": [(3, 3, 2)]}


def spelled_of(tokens: Sequence[int]) -> str:
    return "".join("ab"[token - 2] for token in tokens if token != BAR)


def in_words(text: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """Split symbols at their boundaries, the last of which may be missing; None: there is a word of no symbols."""
    parts = "".join(map(str, text)).removesuffix(str(BAR)).split(str(BAR)) if text else []
    return [tuple(map(int, part)) for part in parts] if all(parts) else None


@functools.cache
def every_peaky_text(seed: int) -> tuple[Emissions, dict[tuple[int, ...], float]]:
    """Draw emissions, with the best path of each text."""
    emissions = Emissions(peaky(seed, frames=7, symbols=4), torch.tensor([7]))
    return emissions, every_text(emissions.log_probabilities[0].tolist(), max)


@pytest.mark.parametrize("model, unknown, hot", [(None, -1.5, False), (1, 4.0, False), (2, 3.0, True), (3, 6.0, False), (4, -90.0, False)])
def test_words_that_the_lexicon_lacks_by_every_text(model: int | None, unknown: float, *, hot: bool) -> None:
    """The best of all texts of a lattice: a word is what stands between boundaries, known or not, and an unknown one has its score."""
    language = None if model is None else ToyLanguageModel(tuple(KNOWN), seed=model)
    a, b = (0.0 if language is None else 0.7), 0.3
    phrases = HotPhrases(["ab"], 0.5, {word: len(several[0]) for word, several in KNOWN.items()}) if hot else None
    search = LexiconBeam(
        KNOWN,
        CTCMoves(4),
        boundary=BAR,
        beam=2000,
        weights=Weights(a, b),
        language_model=language,
        hot_words=phrases,
        unknown=Unknown(unknown, spelled_of),
    )
    names = {spelling: (number, word) for number, (word, several) in enumerate(KNOWN.items()) for spelling in several}
    found_unknown = 0
    for seed in range(6):
        emissions, texts = every_peaky_text(seed)
        expected = (-math.inf, "", 0.0)
        for text, score in texts.items():
            if (words := in_words(text)) is not None:
                numbers = [names.get(word, (-1, ""))[0] for word in words]
                said = 0.0 if language is None else language.sentence(numbers)
                bonus = 0.5 * 2 * numbers.count(0) if hot else 0.0
                added = a * said + b * len(words) + unknown * numbers.count(-1) + bonus
                expected = max(expected, (score + added, " ".join(names.get(word, (0, spelled_of(word)))[1] for word in words), score))
        ((best,),) = search(emissions)
        assert (best.score, best.acoustic) == pytest.approx((expected[0], expected[2]), abs=2e-4)
        assert best.text == expected[1]
        found_unknown += any(word not in KNOWN for word in best.text.split())
    assert (found_unknown > 0) == (unknown > -50)


def test_unknown_words_take_a_boundary_and_the_best_path() -> None:
    with pytest.raises(UserError, match="between two boundaries, on the likeliest path"):
        LexiconBeam(KNOWN, CTCMoves(4), unknown=Unknown(0.0, spelled_of))
    with pytest.raises(UserError, match="between two boundaries, on the likeliest path"):
        LexiconBeam(KNOWN, CTCMoves(4), boundary=BAR, paths="sum", unknown=Unknown(0.0, spelled_of))
