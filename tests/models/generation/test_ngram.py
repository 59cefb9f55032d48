"""N-grams: the estimates, against their definition and by hand; look-ups of many at once; saved, loaded, and as ARPA."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.contracts import LanguageModel
from foresay.corpora.manifest import Item, write_manifest
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.generation._kneser_ney import _discounts
from foresay.models.generation.ngram import NGram, NGramSettings
from foresay.settings import from_table
from foresay.text.arpa import read_arpa, write_arpa
from foresay.workflows.train import run_recipe
from reference.ngram_dictionary import DictionaryNGram

SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=7), min_size=1, max_size=12).filter(any)
PRUNED = st.sampled_from([(), (0, 1), (0, 0, 1), (0, 1, 2)])


class Texts:
    """The passes over texts."""

    seed = 0

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def texts(self) -> Iterator[str]:
        return iter(self._texts)

    def frames(self, *_: object, **__: object) -> torch.Tensor:
        raise NotImplementedError


def _fitted(texts: Sequence[str], order: int, prune: tuple[int, ...] = (), unit: str = "words") -> NGram:
    model = NGram(from_table(NGramSettings, {"order": order, "prune": list(prune), "unit": unit}, "model")).eval()
    model.fit(Texts(texts))
    return model


def _every_state(model: NGram) -> torch.Tensor:
    return torch.arange(len(model.backoffs))


def _score(model: NGram, words: Sequence[str]) -> tuple[list[float], int]:
    """Probabilities of words one after the other from the start, and the state then."""
    state, found = torch.tensor([model.start]), []
    for word in words:
        number = model.symbols.index(word) if word in model.symbols else -1
        score, state = model.advance(state, torch.tensor([number]))
        found.append(math.exp(score.item()))
    return found, int(state)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.integers(1, 5), PRUNED, st.lists(st.sampled_from("abcdx"), max_size=6))
def test_probabilities_are_those_of_the_definition(sentences: list[list[str]], order: int, prune: tuple[int, ...], said: list[str]) -> None:
    model = _fitted([" ".join(sentence) for sentence in sentences], order, prune[:order])
    slow = DictionaryNGram([sentence for sentence in sentences if sentence], order, prune[:order])
    found, state = _score(model, said)
    heads = [["<s>", *("<unk>" if word not in model.symbols else word for word in said[:n])] for n in range(len(said) + 1)]
    for probability, before, head in zip(found, heads, heads[1:], strict=False):
        assert probability == pytest.approx(slow.probability(head[-1], before), rel=1e-5)
    assert math.exp(model.end(torch.tensor([state])).item()) == pytest.approx(slow.probability("</s>", heads[-1]), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.integers(1, 6), PRUNED)
def test_every_context_sums_to_one_and_all_words_at_once_are_one_by_one(
    sentences: list[list[str]], order: int, prune: tuple[int, ...]
) -> None:
    model = _fitted([" ".join(sentence) for sentence in sentences], order, prune[:order])
    states = _every_state(model)
    scores, after = model.advance_all(states)
    unknown, _ = model.advance(states, torch.full_like(states, -1))
    torch.testing.assert_close(scores.exp().sum(1) + unknown.exp() + model.end(states).exp(), torch.ones(len(states)), atol=1e-5, rtol=0)
    for word in range(len(model.symbols)):
        one, then = model.advance(states, torch.full_like(states, word))
        torch.testing.assert_close(scores[:, word], one)
        assert torch.equal(after[:, word], then)


@settings(max_examples=30, deadline=None)
@given(SENTENCES, st.integers(1, 5), PRUNED)
def test_states_that_do_the_same_are_one(sentences: list[list[str]], order: int, prune: tuple[int, ...]) -> None:
    model = _fitted([" ".join(sentence) for sentence in sentences], order, prune[:order])
    contexts = set((model.keys // (len(model.symbols) + 3)).tolist())
    assert all(state in contexts or model.backoffs[state] != 0 for state in model.following.tolist())


def test_a_weight_of_a_context_that_nothing_longer_begins_with_counts() -> None:
    """Files of other programs have such."""
    model = _fitted(["a b", "a c", "b"], 2)
    grams = model.tables()
    weights = grams.backoffs[0].copy()
    unknown = len(grams.words)
    weights[unknown] = -1.5
    changed = NGram.of(dataclasses.replace(grams, backoffs=(weights,)))
    assert _score(changed, "xa")[0][1] == pytest.approx(math.exp(-1.5) * _score(model, "xa")[0][1], rel=1e-6)


def test_by_hand() -> None:
    """Bigrams of three sentences; no count comes three times, so that the discounts are 1/2, 1 and 3/2."""
    model = _fitted(["a b", "a c", "b"], 2)
    single = {"a": 0.5 / 6 + 0.1, "b": 1 / 6 + 0.1, "c": 0.5 / 6 + 0.1, "</s>": 1 / 6 + 0.1, "x": 0.1}
    found, state = _score(model, "ab")
    assert found == pytest.approx([1 / 3 + 0.5 * single["a"], 0.25 + 0.5 * single["b"]], rel=1e-6)
    assert model.end(torch.tensor([state])).exp().item() == pytest.approx(0.5 + 0.5 * single["</s>"], rel=1e-6)
    assert _score(model, "bca")[0] == pytest.approx([0.5 / 3 + 0.5 * single["b"], 0.5 * single["c"], 0.5 * single["a"]], rel=1e-6)
    assert _score(model, "xa")[0] == pytest.approx([0.5 * single["x"], single["a"]], rel=1e-6)
    assert model.symbols == ("a", "b", "c")


def test_discounts_by_hand() -> None:
    assert _discounts(np.array([0, 1, 1, 1, 1, 2, 2, 3, 4, 9])) == ((0.5, 1.25, 1.0), False)
    assert _discounts(np.array([1, 1, 2, 4])) == ((0.5, 1.0, 1.5), True)
    assert _discounts(np.array([4, 5, 9])) == ((0.5, 1.0, 1.5), False)  # none is rare
    assert _discounts(np.array([1, 2, 3, 3, 3, 3, 3])) == ((0.5, 1.0, 1.5), True)  # the second would be negative


def test_what_falls_back_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _fitted(["a b", "a c", "b"], 2)
    assert "n-grams of order 1, 2: too few that come once, twice or three times" in capsys.readouterr().err
    _fitted([f"{one} {other}" for one in "abcd" for other in "abcd"] * 4, 2)
    assert not capsys.readouterr().err  # all come often, so that no discount matters


def test_letters_are_predicted_with_a_boundary_between_words(tmp_path: Path) -> None:
    model = _fitted(["ab  ba", "a"], 3, unit="letters")
    assert model.symbols == ("a", "b", "|")
    assert model.split("ab c") == ["a", "b", "|", "c"]
    write_arpa(model.tables(), tmp_path / "letters.arpa")
    assert NGram.of(read_arpa(tmp_path / "letters.arpa")).settings == NGramSettings(3, "letters")


def test_a_run_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    texts = ["a b a", "b \N{LATIN SMALL LETTER E WITH ACUTE} c", "a"]
    write_manifest(tmp_path / "train.jsonl", [Item(id=str(n), image=tmp_path / "no.png", text=text) for n, text in enumerate(texts)])
    run_recipe("train", "ngram", tmp_path / "train.jsonl", tmp_path / "run", overrides=["model.order=3"])
    loaded, fitted = load(tmp_path / "run"), _fitted(texts, 3)
    assert isinstance(loaded, LanguageModel)
    assert loaded.symbols == fitted.symbols
    assert all(torch.equal(mine, fitted.get_buffer(name)) for name, mine in loaded.named_buffers())
    again = NGram(NGramSettings(3))
    again.load_state_dict(fitted.state_dict())
    assert again.start == fitted.start


def test_orders_and_pruning_that_cannot_be_are_refused() -> None:
    for table in ({"order": 0}, {"order": 7}, {"prune": [1]}, {"prune": [0, 2, 1]}, {"order": 2, "prune": [0, 1, 1]}):
        with pytest.raises(UserError, match=r"n-grams have from 1 to 6 words|one number for each order"):
            from_table(NGramSettings, table, "model")


def test_pruning_leaves_out_what_came_rarely() -> None:
    texts = ["a b c", "a b c", "a b d"]
    whole, pruned = _fitted(texts, 3), _fitted(texts, 3, (0, 0, 1))
    sizes = [[len(keys) for keys in model.tables().keys] for model in (whole, pruned)]
    assert [a - b for a, b in itertools.zip_longest(*sizes)] == [0, 0, 2]  # a b d, b d </s>


@pytest.mark.parametrize(
    "texts, why",
    [([], "no text to count"), (["", "  "], "no text to count"), (["a <s> b"], "<s> stands in the text"), (["<unk>"], "<unk>")],
)
def test_texts_that_cannot_be_counted_are_refused(texts: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        _fitted(texts, 2)
