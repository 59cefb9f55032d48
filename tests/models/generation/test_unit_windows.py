"""Unit LMs read long recordings in windows: by definition, exactly where they look back no farther, at a cost that grows linearly."""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Batch, Sampling, Tokens
from foresay.decoding.context_windows import window_of
from foresay.models.generation._unit_model import UNKNOWN, UnitModel
from foresay.models.generation.transformer_lm import TransformerLM
from foresay.models.generation.unit_lm import UnitLM, UnitLMSettings
from reference.level_units import LevelUnits, spoken
from reference.local_network import LocalNetwork

RANDOM = torch.Generator().manual_seed(3)
LONG = [torch.randint(8, (length,), generator=RANDOM).tolist() for length in (60, 9, 33, 8)]


class LocalModel(UnitModel):
    def __init__(self, back: int) -> None:
        super().__init__(LevelUnits(), LocalNetwork(8, back), 1, merged=False)


def transformer() -> UnitLM:
    torch.manual_seed(0)
    model = UnitLM(UnitLMSettings(merged=False, size=16, layers=2, heads=2, inner=32), LevelUnits()).eval()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def trained_on(model: UnitModel, units: int) -> UnitModel:
    """Let it meet a text of so many units."""
    model.train()(Batch(("a",), text=(" ".join(str(place % 8) for place in range(units)),)), 0)
    return model.eval()


def tokens_of(model: UnitModel, rows: list[list[int]]) -> Tokens:
    ids = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=7)
    return Tokens(ids[:, None], torch.tensor([len(row) for row in rows]), 8, model.tokenizer.fingerprint, 100.0)


def test_it_reads_as_much_at_once_as_its_longest_training_text_has() -> None:
    model = transformer()
    assert model.window == UNKNOWN
    model(Batch(("a",), text=("1 2 3",)), 0)  # not in training
    assert model.window == UNKNOWN
    assert [trained_on(model, units).window for units in (5, 3, 9)] == [6, 6, 10]
    other = transformer()
    other.load_state_dict(model.state_dict())
    assert other.window == 10
    before = {name: tensor for name, tensor in model.state_dict().items() if name != "longest"}
    older = transformer()
    older.load_state_dict(before)
    assert older.window == UNKNOWN


def test_the_longest_text_may_be_another_device_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def exchanged(found: Tensor, how: dist.ReduceOp) -> None:
        assert how == dist.ReduceOp.MAX
        found.clamp_(min=21)  # of the other device

    model = trained_on(transformer(), 5)
    model.after_step(0)
    assert model.window == 6
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", exchanged)
    assert model.after_step(1) == {}
    assert model.window == 21


@torch.no_grad()
def test_a_text_within_a_window_is_scored_as_it_was_and_a_longer_one_begins_so() -> None:
    model = transformer()
    whole = model.log_probabilities(tokens_of(model, LONG))
    short = tokens_of(model, [row[:9] for row in LONG])
    expected = model.log_probabilities(short)
    trained_on(model, 8)  # <s> and 8 units, what follows the 8th is predicted
    assert torch.equal(model.log_probabilities(short), expected)
    found = model.log_probabilities(tokens_of(model, LONG))
    torch.testing.assert_close(found[:, :9], whole[:, :9], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found[0, 9:], whole[0, 9:], atol=1e-2)


@torch.no_grad()
def test_each_unit_is_scored_by_its_window() -> None:
    """One after the other, each by a window of its own that is written out."""
    model = trained_on(transformer(), 7)
    found = model.log_probabilities(tokens_of(model, LONG))
    for row, scores in zip(LONG, found, strict=True):
        for place, unit in enumerate(row):
            given = torch.tensor([[model.network.edge, *row[window_of(place, 8) : place]]])
            assert place < 8 or given.shape[1] - 1 >= 4
            expected = model.network.logits(given)[0, -1].log_softmax(-1)[unit]
            torch.testing.assert_close(scores[place], expected, atol=1e-5, rtol=1e-5)
        assert scores[len(row) :].tolist() == [0.0] * (len(scores) - len(row))
        alone = model.log_probabilities(tokens_of(model, [row]))[0]
        torch.testing.assert_close(alone, scores[: len(row)], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("units", [7, 8, 20])
@torch.no_grad()
def test_of_a_model_that_looks_back_no_farther_nothing_changes(units: int) -> None:
    model = LocalModel(back=4).eval()
    tokens, sampling = tokens_of(model, LONG), Sampling(1.5, longest=40)
    waveforms, lengths = spoken(LONG)
    uses: list[Callable[[], Tensor]] = [
        lambda: model.log_probabilities(tokens),
        lambda: model.features(waveforms, lengths, ("L1",)).values["L1"],
        lambda: model.generate(tokens, sampling, range(4)).ids,
    ]
    whole = [use() for use in uses]
    assert trained_on(model, units).window == units + 1
    for use, expected in zip(uses, whole, strict=True):
        assert torch.equal(use(), expected)
    farther = LocalModel(back=8).eval()
    scores = farther.log_probabilities(tokens)
    assert torch.equal(trained_on(farther, units).log_probabilities(tokens), scores) == (units > 14)


@torch.no_grad()
def test_each_unit_is_drawn_by_the_window_that_it_would_be_scored_in() -> None:
    model = trained_on(transformer(), 7)
    model.network.bias[model.network.edge] -= 100  # type: ignore[index, operator]  # it does not end
    drawn = model.generate(tokens_of(model, LONG), Sampling(0.0, longest=20), range(4)).ids[:, 0].tolist()
    for row, own in zip(LONG, drawn, strict=True):
        assert len(own) == 20
        for place, unit in enumerate(own, start=len(row)):
            read = [*row, *own][window_of(place, 8) : place]
            assert int(model.network.logits(torch.tensor([[model.network.edge, *read]]))[0, -1, :8].argmax()) == unit
    warm = Sampling(2.0, longest=20)
    together = model.generate(tokens_of(model, LONG), warm, range(4)).ids[:, 0].tolist()
    alone = [model.generate(tokens_of(model, [row]), warm, [key]).ids[0, 0].tolist() for key, row in enumerate(LONG)]
    assert together == alone


@torch.no_grad()
def test_features_are_those_of_the_window_in_which_what_follows_is_predicted() -> None:
    model = trained_on(transformer(), 7)
    values = model.features(*spoken(LONG), ("L0", "L2")).values
    for number, row in enumerate(LONG):
        for frame in range(len(row)):
            read = row[window_of(frame + 1, 8) : frame + 1]
            states = model.network.states(torch.tensor([[model.network.edge, *read]]))
            for layer in values:
                torch.testing.assert_close(values[layer][number, frame], states[int(layer[1:])][0, -1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_hour_is_never_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = trained_on(transformer(), 511), []
    original = TransformerLM.states
    monkeypatch.setattr(TransformerLM, "states", lambda self, given: (read.append(given.shape[1]), original(self, given))[1])
    hour = torch.randint(8, (20_000,), generator=RANDOM).tolist()
    assert model.log_probabilities(tokens_of(model, [hour])).isfinite().all()
    assert max(read) == 512
    assert sum(read) < 2 * len(hour)
