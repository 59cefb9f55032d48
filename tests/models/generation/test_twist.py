"""TWIST: the body of a language model of text under new embeddings computes what transformers does, with its cache as without."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.building import build, describe
from foresay.contracts import Batch, LanguageModel, Sampling, Tokens
from foresay.decoding.sampling import sample
from foresay.errors import UserError
from foresay.fingerprint import of_model
from foresay.loading import load
from foresay.models.generation._body_lm import BodyLM
from foresay.models.generation.twist import Twist, TwistSettings
from foresay.settings import read_toml_file
from foresay.workflows.train import run_recipe
from reference.level_units import LevelUnits, spoken
from reference.levels import write_corpus
from reference.tiny_causal_lms import FAMILIES, PLACES, tiny_body, write_tiny

pytest.importorskip("transformers")

ROWS = [[1, 1, 2, 2, 2, 1, 5, 5], [3, 3, 3, 4], [6]]
MERGED = [[1, 2, 1, 5], [3, 4], [6]]


def built(family: str = "llama", *, merged: bool = True) -> Twist:
    torch.manual_seed(0)
    model = Twist(TwistSettings(merged), LevelUnits(), tiny_body(family)).eval()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def tokens_of(model: Twist, rows: list[list[int]]) -> Tokens:
    ids = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=7)
    return Tokens(ids[:, None], torch.tensor([len(row) for row in rows]), 8, model.tokenizer.fingerprint, 100.0)


def no_end(self: BodyLM, states: Tensor) -> Tensor:  # noqa: ARG001
    return torch.full((len(states),), -torch.inf)


class Plain(LanguageModel):
    """The same network without a cache: a state is a context in a list, and all of it is read anew each time."""

    def __init__(self, network: BodyLM) -> None:
        self.network = network
        self.contexts: list[list[int]] = [[]]

    start = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.network.symbols

    def split(self, text: str) -> list[str]:
        return text.split()

    def _scores(self, states: Tensor) -> Tensor:
        given = [torch.tensor([[self.network.edge, *self.contexts[state]]]) for state in states.tolist()]
        with torch.no_grad():
            return torch.stack([self.network.logits(one)[0, -1].log_softmax(-1) for one in given])

    def _after(self, state: int, symbol: int) -> int:
        self.contexts.append([*self.contexts[state], symbol])
        return len(self.contexts) - 1

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        after = [self._after(*pair) for pair in zip(states.tolist(), symbols.tolist(), strict=True)]
        return self._scores(states).gather(1, symbols[:, None])[:, 0], torch.tensor(after)

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        after = [[self._after(state, symbol) for symbol in range(len(self.symbols))] for state in states.tolist()]
        return self._scores(states)[:, :-1], torch.tensor(after)

    def end(self, states: Tensor) -> Tensor:
        return self._scores(states)[:, -1]


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_it_scores_as_transformers_own_model_with_these_embeddings(family: str, tmp_path: Path) -> None:
    whole = write_tiny(family, tmp_path)
    torch.manual_seed(0)
    model = Twist(TwistSettings(), LevelUnits(), load(f"hf:{tmp_path}")).eval()
    output = model.network.embedding if model.network.output is None else model.network.output
    assert (model.network.output is None) == bool(whole.config.tie_word_embeddings)
    assert model.network.embedding.weight.shape == output.weight.shape == (9, whole.get_input_embeddings().embedding_dim)
    assert 0.015 < float(model.network.embedding.weight.std()) < 0.025
    whole.set_input_embeddings(model.network.embedding)
    replaced = nn.Linear(*reversed(output.weight.shape), bias=False)
    replaced.weight = output.weight
    whole.set_output_embeddings(replaced)
    found = model.log_probabilities(tokens_of(model, ROWS))
    assert found.shape == (3, 4)
    for row, scores in zip(MERGED, found, strict=True):
        given = torch.tensor([[8, *row]])
        expected = whole(input_ids=given).logits[0, :-1].log_softmax(-1).gather(1, given[0, 1:, None])[:, 0]
        torch.testing.assert_close(scores[: len(row)], expected, atol=1e-5, rtol=1e-5)
        assert scores[len(row) :].tolist() == [0.0] * (len(scores) - len(row))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_what_is_sampled_with_the_cache_is_what_is_sampled_without(family: str) -> None:
    network = built(family).network
    prompts = [*MERGED, [], MERGED[0]]
    for sampling in (Sampling(temperature=1.0, longest=12), Sampling(temperature=0, longest=6)):
        found = sample(network, prompts, sampling, range(5))
        assert found == sample(Plain(network), prompts, sampling, range(5))
        assert max(map(len, found)) > 2
    together = sample(network, prompts, Sampling(temperature=2.0, longest=12), range(5))
    assert together == [sample(network, [row], Sampling(temperature=2.0, longest=12), [key])[0] for key, row in enumerate(prompts)]


@torch.no_grad()
def test_sequences_grow_side_by_side_and_cost_the_new_units_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    network, read = built().network, []
    monkeypatch.setattr(BodyLM, "end", no_end)
    original = type(network.body).read

    def counted(self: Any, embedded: Tensor, *given: Any) -> Any:  # noqa: ANN401
        read.append(tuple(embedded.shape[:2]))
        return original(self, embedded, *given)

    monkeypatch.setattr(type(network.body), "read", counted)
    sample(network, [[1, 2, 3], [4]], Sampling(temperature=1.0, longest=6), [0, 1])
    assert read == [*[(1, 1)] * 3, (2, 4), *[(2, 1)] * 5]  # the longer prompt, both whole, since the other is not there, and what is drawn


@torch.no_grad()
def test_a_search_may_go_back_and_repeat_itself() -> None:
    network = built().network
    plain = Plain(network)
    states, theirs = torch.tensor([network.start] * 3), torch.zeros(3, dtype=torch.int64)
    earlier = [(states, theirs)]
    for symbols in ([1, 1, 2], [0, 3, 0], [5, 5, 5]):
        found, states = network.advance(states, torch.tensor(symbols))
        expected, theirs = plain.advance(theirs, torch.tensor(symbols))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        earlier.append((states, theirs))
    assert len(set(earlier[1][0].tolist())) == 2  # equal contexts are one state
    for ours, others in [earlier[1], earlier[3], earlier[0], earlier[2]]:
        torch.testing.assert_close(network.end(ours), plain.end(others), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network.advance_all(ours)[0], plain.advance_all(others)[0], atol=1e-5, rtol=1e-5)
    aside, others = (lm.advance_all(of)[1][:, 7] for lm, of in zip((network, plain), earlier[1], strict=True))
    ours, others = torch.cat([states, aside]), torch.cat([theirs, others])  # of unequal lengths, and not after what was computed last
    torch.testing.assert_close(network.end(ours), plain.end(others), atol=1e-5, rtol=1e-5)
    score, same = network.advance(states, torch.full((3,), -1))
    assert score.tolist() == [-torch.inf] * 3
    assert torch.equal(same, states)
    before = network.end(torch.tensor([network.start]))
    network.embedding.weight.add_(1.0)
    assert not torch.equal(network.eval().end(torch.tensor([0])), before)  # what was kept is forgotten


def test_the_loss_is_that_of_units_and_ends_as_texts() -> None:
    model = built()
    batch = Batch(("a", "b"), text=("1 2 1 5", "3 4"))
    losses = model(batch, 0)
    plain = Plain(model.network)
    expected = 0.0
    for row in MERGED[:2]:
        plain.contexts = [row[:place] for place in range(len(row) + 1)]
        scores = plain._scores(torch.arange(len(row) + 1))
        expected -= float(scores.gather(1, torch.tensor([*row, 8])[:, None]).sum())
    assert float(losses.terms["nats"].sum.detach()) == pytest.approx(expected, rel=1e-5)
    assert losses.terms["nats"].count == model.counts(batch, 0)["nats"] == 5 + 3
    with pytest.raises(UserError, match="'8' is none of the 8 units"):
        model(Batch(("a",), text=("1 8",)), 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_is_trained_but_the_tokenizer_and_the_loss_falls(family: str) -> None:
    model = built(family).train()
    batch = Batch(("a",) * 2, text=("1 2 3 1 2 3 1", "2 3 1 2 3 1 2"))
    model(batch, 0).total().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == (not name.startswith("tokenizer.")), name
    optimizer = torch.optim.Adam(model.network.parameters(), lr=1e-2)
    totals = []
    for step in range(20):
        optimizer.zero_grad()
        total = model(batch, step).total()
        totals.append(float(total.detach()))
        total.backward()
        optimizer.step()
    assert totals[-1] < 0.5 * totals[0]
    assert totals[-1] < 1.2  # of 2.2 nats where nothing is known


@torch.no_grad()
def test_it_is_built_again_bit_for_bit_without_its_sources() -> None:
    model = built("qwen2", merged=False)
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    torch.manual_seed(5)
    other = BodyLM(8, build(describe(model.body)))  # type: ignore[arg-type]
    other.load_state_dict(state)
    given = torch.tensor([[8, *ROWS[0]]])
    assert torch.equal(other.eval().logits(given), model.network.logits(given))


@pytest.mark.parametrize("merged", [True, False])
@torch.no_grad()
def test_features_are_the_states_after_each_frames_unit(merged: bool) -> None:  # noqa: FBT001
    model = built("opt", merged=merged)  # whose layers are of two sizes
    waveforms, lengths = spoken(ROWS)
    frames = model.features(waveforms, lengths)
    assert model.layer_names == ("L0", "L1", "L2") == tuple(frames.values)
    for number, row in enumerate(ROWS):
        for frame in range(len(row)):
            read = row[: frame + 1]
            form = [unit for place, unit in enumerate(read) if not merged or place == 0 or read[place - 1] != unit]
            states = model.network.states(torch.tensor([[8, *form]]))
            for layer, state in zip(model.layer_names, states, strict=True):
                torch.testing.assert_close(frames.values[layer][number, frame], state[0, -1], atol=1e-5, rtol=1e-5)


def test_units_of_another_tokenizer_and_more_than_the_body_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built()
    other = Tokens(torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([2]), 8, "another", 100.0)
    uses: Sequence[Any] = (model.prepared, model.log_probabilities, lambda tokens: model.generate(tokens, Sampling(1.0), [0]))
    for use in uses:
        with pytest.raises(UserError, match="made by tokenizer another, and this language model knows those of tokenizer"):
            use(other)
    long = " ".join(str(place % 8) for place in range(PLACES))
    with pytest.raises(UserError, match=f"reads {PLACES} symbols at most, and these are {PLACES + 1}, their begin counted"):
        model(Batch(("a",), text=(long,)), 0)
    monkeypatch.setattr(BodyLM, "end", no_end)
    prompt = tokens_of(model, [[1]])
    assert model.generate(prompt, Sampling(1.0, longest=PLACES - 1), [0]).lengths.tolist() == [PLACES - 1]
    assert model.window == PLACES  # beyond them it is read in windows
    assert model.generate(prompt, Sampling(1.0, longest=3 * PLACES), [0]).lengths.tolist() == [3 * PLACES]
    assert model.log_probabilities(tokens_of(model, [[place % 8 for place in range(3 * PLACES)]])).isfinite().all()


def test_a_run_holds_it_whole(tmp_path: Path) -> None:
    """It begins as the source, is trained from there, and is loaded and goes on when the sources are gone; the control begins otherwise."""
    whole = write_tiny("llama", tmp_path / "text", max_position_embeddings=1000)
    corpus = write_corpus(tmp_path / "train.jsonl", 4, seed=0)
    units = ["parts.encoder=logmel", "model.layer=logmel", "model.clusters=8"]
    run_recipe("train", "kmeans", corpus.path, tmp_path / "units", overrides=units)
    small = ["data.characters=800", "trainer.precision=fp32", "optimizer.schedule=constant", "optimizer.warmup=0"]
    small.append(f"parts.tokenizer={tmp_path / 'units'}")
    still = [*small, "optimizer.lr=1e-30", "trainer.steps=1"]
    theirs = whole.base_model.state_dict()
    for name, source in (("warm", "hf:"), ("cold", "untrained:hf:")):
        run_recipe("train", "twist", corpus.path, tmp_path / name, overrides=[*still, f"parts.body={source}{tmp_path / 'text'}"])
        ours = load(tmp_path / name).body.network.state_dict()
        assert {torch.equal(tensor, theirs[key]) for key, tensor in ours.items()} == {name == "warm"}
    trained = [*small, "trainer.steps=2", f"parts.body=hf:{tmp_path / 'text'}"]
    run_recipe("train", "twist", corpus.path, tmp_path / "run", overrides=trained)
    model = load(tmp_path / "run")
    kept = read_toml_file(tmp_path / "run" / "parts.toml")["body"]["fingerprint"]
    assert kept == of_model(load(f"hf:{tmp_path / 'text'}")) != of_model(model.body)
    shutil.rmtree(tmp_path / "text")
    shutil.rmtree(tmp_path / "units")
    tokens = Tokens(torch.tensor([[ROWS[0]]]), torch.tensor([8]), 8, model.tokenizer.fingerprint, 100.0)
    assert torch.equal(load(tmp_path / "run").log_probabilities(tokens), model.log_probabilities(tokens))
    run_recipe("train", "twist", corpus.path, tmp_path / "run", overrides=[*trained, "trainer.steps=3"])
    assert of_model(load(tmp_path / "run").body) != of_model(model.body)
