"""Sampling: shares are the tempered, cut off probabilities; what is drawn belongs to its key; n-grams are sampled from as they count."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foresay.contracts import Sampling
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.decoding.sampling import after_prompts, draw, sample
from foresay.encoding.passes import CorpusPasses
from foresay.models.generation.ngram import NGram, NGramSettings

P = [0.05, 0.5, 0.15, 0.2, 0.1]
STRATA = 2000


def shares(sampling: Sampling) -> list[float]:
    """Draw once from the middle of each of many equal strata: shares are exact to one of them."""
    uniform = (torch.arange(STRATA, dtype=torch.float64) + 0.5) / STRATA
    drawn = draw(torch.tensor(P).log().expand(STRATA, -1), sampling, uniform)
    return [float((drawn == symbol).sum()) / STRATA for symbol in range(len(P))]


def expected(temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """The same by loops over the symbols, from the likeliest on."""
    tempered = [p ** (1 / temperature) for p in P]
    tempered = [p / sum(tempered) for p in tempered]
    kept, before = set(), 0.0
    for rank, symbol in enumerate(sorted(range(len(P)), key=lambda symbol: -tempered[symbol])):
        if (top_k is None or rank < top_k) and (top_p is None or before < top_p):
            kept.add(symbol)
        before += tempered[symbol]
    total = sum(tempered[symbol] for symbol in kept)
    return [tempered[symbol] / total if symbol in kept else 0.0 for symbol in range(len(P))]


@pytest.mark.parametrize(
    "temperature, top_k, top_p",
    [
        (1.0, None, None),
        (0.3, None, None),
        (1.5, None, None),
        (1.0, 2, None),
        (1.0, 99, None),
        (1.0, None, 0.6),
        (1.0, None, 0.7001),
        (1.0, None, 1e-9),
        (1.0, None, 1.0),
        (0.7, 3, 0.9),
        (2.0, 4, 0.5),
    ],
)
def test_shares_are_the_probabilities(temperature: float, top_k: int | None, top_p: float | None) -> None:
    found = shares(Sampling(temperature, top_k, top_p))
    assert found == pytest.approx(expected(temperature, top_k, top_p), abs=2 / STRATA)


def test_at_temperature_0_and_among_one_the_likeliest_is_drawn() -> None:
    assert shares(Sampling(0.0)) == shares(Sampling(5.0, top_k=1)) == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_any_temperature_above_0_has_a_distribution() -> None:
    assert shares(Sampling(1e-310)) == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert shares(Sampling(1e300)) == pytest.approx([0.2] * 5, abs=2 / STRATA)
    for temperature in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match=r"it must be 0 \(always the likeliest\) or more, and finite"):
            Sampling(temperature)


@pytest.mark.parametrize("sampling", [Sampling(1.0, top_k=2), Sampling(1.0, top_p=0.5)])
def test_of_symbols_that_are_as_likely_the_first_are_kept_and_no_more_than_are_asked_for(sampling: Sampling) -> None:
    uniform = (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    assert draw(torch.zeros(8, 4), sampling, uniform).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_what_cannot_be_is_never_drawn() -> None:
    scores = torch.tensor([[-math.inf, 0.0, -math.inf]]).expand(3, -1)
    assert draw(scores, Sampling(3.0), torch.tensor([0.0, 0.5, 1 - 1e-12], dtype=torch.float64)).tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def bigram(tmp_path_factory: pytest.TempPathFactory) -> NGram:
    """Of the sentences a b, a b b and a c: after a comes b in two of three."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    write_manifest(path, [Item(str(number), text=text) for number, text in enumerate(["a b", "a b b", "a c"])])
    model = NGram(NGramSettings(order=2)).eval()
    model.fit(CorpusPasses(Manifest.open(path), 0))
    return model


def test_an_ngram_is_sampled_as_it_scores(bigram: NGram) -> None:
    """Shares of whole continuations of `a`, among 2,000 keys, beside their probabilities: end included."""
    drawn = Counter(tuple(row) for row in sample(bigram, [[0]] * STRATA, Sampling(1.0, longest=3), range(STRATA)))
    for row in [(), (1,), (2,), (1, 1), (1, 2)]:
        p = math.exp(_score(bigram, [0], row))
        assert drawn[row] / STRATA == pytest.approx(p, abs=4 * math.sqrt(p / STRATA))


def _score(model: NGram, prompt: list[int], row: tuple[int, ...]) -> float:
    state = after_prompts(model, [prompt])
    total = 0.0
    for symbol in row:
        score, state = model.advance(state, torch.tensor([symbol]))
        total += float(score)
    return total + float(model.end(state))


def test_a_row_is_its_keys_and_prompts_alone(bigram: NGram) -> None:
    prompts, keys = [[0], [0, 1], [], [0], [2, 0, 1]], [3, 3, 4, 5, 6]
    together = sample(bigram, prompts, Sampling(2.0, longest=30), keys)
    assert together == [sample(bigram, [prompt], Sampling(2.0, longest=30), [key])[0] for prompt, key in zip(prompts, keys, strict=True)]
    longer = sample(bigram, prompts, Sampling(2.0, longest=31), keys)
    assert [row[:30] for row in longer] == together
    assert max(map(len, together)) <= 30


def test_states_after_prompts_are_those_of_walking(bigram: NGram) -> None:
    def walked(prompt: list[int]) -> Tensor:
        state = torch.tensor([bigram.start])
        for symbol in prompt:
            state = bigram.advance(state, torch.tensor([symbol]))[1]
        return state

    prompts = [[], [0], [2, 1], [0, 1, 1]]
    assert after_prompts(bigram, prompts).tolist() == [int(walked(prompt)) for prompt in prompts]
    assert sample(bigram, [], Sampling(1.0), []) == []


def test_of_no_state_but_the_end_nothing_is_drawn(tmp_path: Path) -> None:
    write_manifest(tmp_path / "texts.jsonl", [Item("1", text="a")])
    model = NGram(NGramSettings(order=2)).eval()
    model.fit(CorpusPasses(Manifest.open(tmp_path / "texts.jsonl"), 0))
    assert sample(model, [[0]], Sampling(0.0, longest=9), [0]) == [[]]
