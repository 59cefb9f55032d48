"""N-best lists with another language model: scores of sentences symbol by symbol, and the order that follows."""

import pytest
import torch

from foresay.contracts.recognition import Hypothesis
from foresay.decoding import rescoring
from foresay.decoding.rescoring import language_scores, rescore, sentence_scores
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from reference.toy_language import ToyLanguageModel

WORDS = ("the", "cat", "sat")


def hypothesis(text: str, acoustic: float, language: float = 0.0) -> Hypothesis:
    return Hypothesis(text, acoustic + 0.3 * language, acoustic=acoustic, language=language)


@pytest.mark.parametrize("batch", [1, 3, 1024])
def test_sentences_are_scored_as_one_by_one(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescoring, "_BATCH", batch)
    model = ToyLanguageModel(WORDS, seed=1, order=3)
    sentences = [["the", "cat"], [], ["sat"], ["the", "dog", "sat", "the"], ["cat", "cat", "cat"]]
    expected = [model.sentence([WORDS.index(word) if word in WORDS else -1 for word in sentence]) for sentence in sentences]
    assert sentence_scores(model, sentences).tolist() == pytest.approx(expected, abs=1e-5)
    assert sentence_scores(model, []).shape == (0,)


def test_lists_are_ranked_anew() -> None:
    model = ToyLanguageModel(WORDS, seed=2)
    nbest = [
        [hypothesis("the cat", -3.0, -1.0), hypothesis("the cat sat", -3.5, -2.0), hypothesis("", -9.0)],
        [],
        [hypothesis("sat", -1.0)],
    ]
    second = language_scores(nbest, model)
    assert [len(scores) for scores in second] == [3, 0, 1]
    assert second[0][1] == pytest.approx(model.sentence([0, 1, 2]), abs=1e-5)
    found = rescore(nbest, second, Weights(0.5, 4.0))
    expected = sorted(
        ((h.acoustic + 0.3 * h.language + 0.5 * s + 4.0 * len(h.text.split()), h.text) for h, s in zip(nbest[0], second[0], strict=True)),
        reverse=True,
    )
    assert [(h.score, h.text) for h in found[0]] == [(pytest.approx(score), text) for score, text in expected]
    assert expected[0][1] == "the cat sat", "four nats a word"
    assert {(h.text, h.acoustic, h.language) for h in found[0]} == {(h.text, h.acoustic, h.language) for h in nbest[0]}
    assert found[1] == []


def test_symbols_of_another_kind() -> None:
    letters = ToyLanguageModel(("a", "c", "t"), seed=3)
    (scores,) = language_scores([[hypothesis("cat", -1.0)]], letters, lambda h: list(h.text))
    assert scores == pytest.approx([letters.sentence([1, 0, 2])], abs=1e-5)


def test_scores_of_other_lists_are_refused() -> None:
    with pytest.raises(UserError, match="1 scores of 1 utterances for 2 hypotheses of 1"):
        rescore([[hypothesis("a", 0.0), hypothesis("b", 0.0)]], [[0.0]], Weights())


def test_what_a_model_excludes_comes_last() -> None:
    model = ToyLanguageModel(WORDS, seed=4)
    model.table[:, 0] = -torch.inf
    nbest = [[hypothesis("the", 0.0), hypothesis("cat", -5.0)]]
    second = language_scores(nbest, model)
    assert [h.text for h in rescore(nbest, second, Weights(0.1))[0]] == ["cat", "the"]
    assert [h.text for h in rescore(nbest, second, Weights(0.0))[0]] == ["the", "cat"]
