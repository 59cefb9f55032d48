"""Prefix beam search against every text of a small lattice, with and without a language model, hot words and a count of words."""

from collections.abc import Callable, Sequence

import pytest
import torch

from foresay.contracts.recognition import Emissions, Hypothesis
from foresay.decoding.hot_words import HotWords
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from reference.ctc_loops import drawn, every_text
from reference.toy_language import UNKNOWN, ToyLanguageModel

SYMBOLS = ("<blank>", "a", "b")
WIDE = 200
"""More prefixes than there are of 6 frames."""

Extra = Callable[[tuple[int, ...]], float]


def letters(tokens: Sequence[int]) -> str:
    return "".join(SYMBOLS[token] for token in tokens)


def assert_all_texts(found: list[Hypothesis], scores: torch.Tensor, extra: Extra) -> None:
    """All texts of the lattice, ranked by log p_AM and what is added to it."""
    texts = every_text(scores.tolist())
    expected = sorted(((score + extra(text), text) for text, score in texts.items()), reverse=True)
    assert [hypothesis.tokens for hypothesis in found] == [text for _, text in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([rank for rank, _ in expected], abs=1e-4)
    assert [hypothesis.acoustic for hypothesis in found] == pytest.approx([texts[text] for _, text in expected], abs=1e-4)
    assert all(hypothesis.text == letters(hypothesis.tokens) for hypothesis in found)


def test_all_texts_without_a_language_model() -> None:
    emissions = drawn(0, utterances=2, frames=6, symbols=3)
    for found, scores in zip(PrefixBeam(SYMBOLS, beam=WIDE)(emissions, letters, best=WIDE), emissions.log_probabilities, strict=True):
        assert_all_texts(found, scores, lambda _: 0.0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_all_texts_with_a_language_model(order: int) -> None:
    emissions = drawn(1, utterances=2, frames=6, symbols=3)
    model = ToyLanguageModel(("b", "a"), seed=order, order=order)  # in another order than the recognizer's
    search = PrefixBeam(SYMBOLS, beam=WIDE, weights=Weights(0.8, 0.5), language_model=model)
    for found, scores in zip(search(emissions, letters, best=WIDE), emissions.log_probabilities, strict=True):
        language = {text: model.sentence([2 - symbol for symbol in text]) for text in every_text(scores.tolist())}
        assert_all_texts(found, scores, lambda text, language=language: 0.8 * language[text] + 0.5 * len(text))
        assert [hypothesis.language for hypothesis in found] == pytest.approx(
            [language[hypothesis.tokens] for hypothesis in found], abs=1e-4
        )


def test_a_symbol_that_the_language_model_lacks_is_unknown_to_it() -> None:
    emissions = drawn(2, utterances=1, frames=4, symbols=3)
    search = PrefixBeam(SYMBOLS, beam=WIDE, weights=Weights(0.8), language_model=(model := ToyLanguageModel(("a",))))
    for hypothesis in search(emissions, letters, best=WIDE)[0]:
        assert hypothesis.language == pytest.approx(model.sentence([0 if symbol == 1 else -1 for symbol in hypothesis.tokens]), abs=1e-4)
        assert hypothesis.language <= UNKNOWN * hypothesis.tokens.count(2)


def test_all_texts_with_hot_words_and_a_count_of_words() -> None:
    emissions = drawn(3, utterances=2, frames=6, symbols=3)
    hot = HotWords([(2,), (2, 2)], boost=0.7, symbols=3, boundary=1)  # a stands between words
    search = PrefixBeam(SYMBOLS, beam=WIDE, weights=Weights(words=-0.3), hot_words=hot, boundary=1)

    def extra(text: tuple[int, ...]) -> float:
        words = letters(text).replace("a", " ").split()
        return 0.7 * (words.count("b") + 2 * words.count("bb")) - 0.3 * len(words)

    for found, scores in zip(search(emissions, letters, best=WIDE), emissions.log_probabilities, strict=True):
        assert_all_texts(found, scores, extra)


def test_hot_words_come_out() -> None:
    emissions = Emissions(torch.tensor([[[0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.1, 0.6, 0.3]]]).log(), torch.tensor([3]))
    assert PrefixBeam(SYMBOLS)(emissions, letters)[0][0].text == "aa"
    hot = HotWords([(1, 2)], boost=0.5, symbols=3)
    assert PrefixBeam(SYMBOLS, hot_words=hot)(emissions, letters)[0][0].text == "ab"


def test_a_narrow_beam_sums_over_what_it_keeps() -> None:
    """Best first, never more than log p of a text, and as a rule near the best of all."""
    emissions = drawn(4, utterances=40, frames=6, symbols=3)
    same = 0
    for found, scores in zip(PrefixBeam(SYMBOLS, beam=4)(emissions, letters, best=9), emissions.log_probabilities, strict=True):
        texts = every_text(scores.tolist())
        assert len(found) == len({hypothesis.tokens for hypothesis in found}) == 4
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        assert all(h.score <= texts[h.tokens] + 1e-4 for h in found)
        same += found[0].tokens == max(texts, key=texts.__getitem__)
    assert same >= 36


def test_a_prefix_that_left_the_beam_and_comes_back_is_the_same() -> None:
    """Each text once, in 300 random searches of a beam of 3."""
    for found in PrefixBeam(SYMBOLS, beam=3)(drawn(5, utterances=300, frames=12, symbols=3, peak=3.0), letters, best=3):
        assert len({hypothesis.tokens for hypothesis in found}) == len(found)


def test_frames_are_where_symbols_begin() -> None:
    path = [0, 1, 1, 0, 2, 0, 2, 2]
    scores = torch.full((1, 8, 3), 0.01).scatter(2, torch.tensor(path)[None, :, None], 0.98).log()
    (best,), *_ = PrefixBeam(SYMBOLS)(Emissions(scores, torch.tensor([8])), letters)
    assert (best.tokens, best.frames) == ((1, 2, 2), (1, 4, 6))


@pytest.mark.parametrize("fused", [False, True])
def test_the_result_does_not_depend_on_batch_mates(fused: bool) -> None:  # noqa: FBT001 - with and without
    lengths = [25, 0, 1, 40, 17]
    emissions = drawn(6, utterances=5, frames=40, symbols=3)
    model = ToyLanguageModel(("a", "b"), seed=3) if fused else None
    search = PrefixBeam(SYMBOLS, beam=8, weights=Weights(0.9, 0.2), language_model=model)
    together = search(Emissions(emissions.log_probabilities, torch.tensor(lengths)), letters, best=3)
    for b, length in enumerate(lengths):
        (alone,) = search(Emissions(emissions.log_probabilities[b : b + 1, :length], torch.tensor([length])), letters, best=3)
        assert [(h.tokens, h.frames) for h in alone] == [(h.tokens, h.frames) for h in together[b]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[b]], abs=1e-4)


def test_forbidden_symbols_are_never_emitted() -> None:
    emissions = drawn(7, utterances=1, frames=5, symbols=3)
    before = emissions.log_probabilities.clone()
    found = PrefixBeam(SYMBOLS, beam=WIDE, forbidden=[2])(emissions, letters, best=WIDE)[0]
    texts = {text: score for text, score in every_text(emissions.log_probabilities[0].tolist()).items() if 2 not in text}
    assert {h.tokens for h in found} == set(texts)
    assert [h.score for h in found] == pytest.approx([texts[h.tokens] for h in found], abs=1e-4)
    assert torch.equal(emissions.log_probabilities, before), "emissions are not touched"


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UserError, match="beam must be 1 or more"):
        PrefixBeam(SYMBOLS, beam=0)
    with pytest.raises(UserError, match=r"lacks 2 of the recognizer's 2 symbols, such as 'a'; it has 'A', 'B'.*capital"):
        PrefixBeam(SYMBOLS, language_model=ToyLanguageModel(("A", "B")))
    with pytest.raises(UserError, match="the emissions have 4 symbols and the vocabulary 3"):
        PrefixBeam(SYMBOLS)(drawn(0, 1, 2, 4), letters)
