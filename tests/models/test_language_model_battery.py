"""One battery for every language model, found by listing the files of `models/`: what each of them promises."""

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foresay.building import build, describe, find_model
from foresay.contracts import Batch, Estimator, LanguageModel, Trainable
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.passes import CorpusPasses
from foresay.settings import settings_class
from foresay.text.perplexity import perplexity
from reference import known_grammar
from reference.listed import models_of

SMALL: dict[str, Any] = {"order": 3, "size": 16, "layers": 1, "heads": 2, "inner": 32, "dropout": 0.0, "least": 1}
"""Whatever of these a language model has."""
UPDATES = 150


def _trained(name: str, texts: Sequence[str], folder: Path, **changed: Any) -> LanguageModel:  # noqa: ANN401 - settings
    """Fit a model in passes over texts, or train it on batches of them."""
    kind: Any = find_model(name)
    owner = settings_class(kind)
    wanted = SMALL | changed
    settings = owner(**{field.name: wanted[field.name] for field in fields(owner) if field.name in wanted})
    torch.manual_seed(0)
    if issubclass(kind, Estimator):
        model = kind(settings).eval()
        write_manifest(folder / "texts.jsonl", [Item(str(number), text=text) for number, text in enumerate(texts)])
        model.fit(CorpusPasses(Manifest.open(folder / "texts.jsonl"), 0))
    else:
        model = kind(kind.completed(settings, texts))
        assert isinstance(model, Trainable)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        random = torch.Generator().manual_seed(0)
        for step in range(UPDATES):
            chosen = tuple(texts[number] for number in torch.randint(len(texts), (32,), generator=random).tolist())
            optimizer.zero_grad()
            model(Batch(chosen, text=chosen), step).total().backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / UPDATES)
    assert isinstance(model, LanguageModel)
    return model.eval()


@pytest.fixture(params=models_of(LanguageModel), scope="module")
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return _trained(name, known_grammar.draw(400), tmp_path_factory.mktemp(name))


@pytest.fixture
def walks(model: LanguageModel) -> Tensor:
    """Random symbols (16, 6), -1 among them."""
    return torch.randint(-1, len(model.symbols), (16, 6), generator=torch.Generator().manual_seed(1))


def _walked(model: LanguageModel, walks: Tensor) -> tuple[Tensor, Tensor]:
    """Score walks (N, U) symbol by symbol: (N, U), and every state on the way (N, U + 1)."""
    states = torch.full((len(walks),), model.start)
    scores, on_the_way = [], [states]
    for symbols in walks.T:
        score, states = model.advance(states, symbols)
        scores.append(score)
        on_the_way.append(states)
    return torch.stack(scores, 1), torch.stack(on_the_way, 1)


def test_symbols_are_different_and_those_of_its_texts(model: LanguageModel) -> None:
    assert len(set(model.symbols)) == len(model.symbols)
    assert {symbol for text in known_grammar.draw(400) for symbol in model.split(text)} == set(model.symbols)


@torch.no_grad()
def test_probabilities_sum_to_one_in_every_state(model: LanguageModel, walks: Tensor) -> None:
    states = _walked(model, walks)[1].flatten()
    unknown, _ = model.advance(states, torch.full_like(states, -1))
    total = model.advance_all(states)[0].exp().sum(1) + model.end(states).exp() + unknown.exp()
    torch.testing.assert_close(total, torch.ones(len(states)), atol=1e-4, rtol=0)


@torch.no_grad()
def test_one_symbol_is_scored_as_among_all(model: LanguageModel, walks: Tensor) -> None:
    states = _walked(model, walks)[1].flatten()
    every, after = model.advance_all(states)
    assert every.shape == after.shape == (len(states), len(model.symbols))
    for number in range(len(model.symbols)):
        score, then = model.advance(states, torch.full_like(states, number))
        torch.testing.assert_close(every[:, number], score, atol=1e-5, rtol=1e-5)
        assert torch.equal(after[:, number], then)


@torch.no_grad()
def test_states_score_as_from_scratch(model: LanguageModel, walks: Tensor) -> None:
    """A copy that has met nothing before scores each beginning of each walk as the states do that led there."""
    scores, states = _walked(model, walks)
    ends = model.end(states.flatten()).view_as(states)
    for row, walk in enumerate(walks[:4]):
        for length in range(walks.shape[1] + 1):
            fresh = build(describe(model)).eval()  # type: ignore[arg-type]  # every language model is a module
            fresh.load_state_dict(model.state_dict())  # type: ignore[attr-defined]
            assert isinstance(fresh, LanguageModel)
            own, on_the_way = _walked(fresh, walk[None, :length]) if length else (torch.zeros(1, 0), torch.tensor([[fresh.start]]))
            torch.testing.assert_close(own[0], scores[row, :length], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(fresh.end(on_the_way[:, -1]), ends[row, length : length + 1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_scores_do_not_depend_on_what_is_scored_with_them(model: LanguageModel, walks: Tensor) -> None:
    scores, _ = _walked(model, walks)
    for row, walk in enumerate(walks):
        torch.testing.assert_close(_walked(model, walk[None])[0][0], scores[row], atol=1e-5, rtol=1e-5)
    order = torch.randperm(len(walks), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(_walked(model, walks[order])[0], scores[order], atol=1e-5, rtol=1e-5)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert [tensor.shape for tensor in (*model.advance(nothing, nothing), model.end(nothing))] == [(0,)] * 3


@torch.no_grad()
def test_an_unknown_symbol_is_possible_and_so_is_what_follows(model: LanguageModel) -> None:
    start = torch.tensor([model.start])
    score, state = model.advance(start, torch.tensor([-1]))
    assert -math.inf < score.item() < 0
    assert model.advance_all(state)[0].isfinite().all()
    assert model.end(state).isfinite().all()


@torch.no_grad()
def test_perplexity_is_of_what_the_states_score(model: LanguageModel) -> None:
    texts = ["the cat purrs", "every zebra sleeps", "dog"]
    found = perplexity(model, [model.split(text) for text in texts], 7)
    numbers = {symbol: number for number, symbol in enumerate(model.symbols)}
    expected = 0.0
    for text in texts:
        scores, states = _walked(model, torch.tensor([[numbers.get(symbol, -1) for symbol in model.split(text)]]))
        expected -= (scores.sum() + model.end(states[:, -1]).sum()).item()
    assert found.nats + found.nats_unknown + found.nats_ends == pytest.approx(expected, rel=1e-4)
    assert found.unknown == 1


@torch.no_grad()
def test_cross_entropy_comes_near_the_entropy_of_a_known_grammar_from_above(name: str, model: LanguageModel, tmp_path: Path) -> None:
    """No model is better than the truth (Gibbs), and the more text, the nearer; one that knows no context stays far away."""
    least = known_grammar.entropy()
    few = _trained(name, known_grammar.draw(8), tmp_path) if isinstance(model, Estimator) else None
    unigram = known_grammar.cross_entropy(_trained("ngram", known_grammar.draw(400), tmp_path, order=1))
    found = known_grammar.cross_entropy(model)
    assert least < found < least + 0.25
    assert unigram > least + 2
    if few:
        assert known_grammar.cross_entropy(few) > found + 0.1


@torch.no_grad()
def test_letters_and_words_are_compared_per_word(name: str, model: LanguageModel, tmp_path: Path) -> None:
    """Of the grammar's sentences letters hold as much as words: the same nats a sentence, give or take what each has learnt."""
    if not isinstance(model, Estimator):
        return  # it would take longer: `ngram` stands for both, for all that is compared is the contract's
    letters = _trained(name, known_grammar.draw(400), tmp_path, unit="letters", order=6)
    assert known_grammar.entropy() < known_grammar.cross_entropy(letters) < known_grammar.entropy() + 0.6
