"""Unit LM: it scores with its cache as without, and what it computes of units lies on the clock of the frames."""

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Batch, Sampling, Tokens
from foresay.errors import UserError
from foresay.models.generation.unit_lm import UnitLM, UnitLMSettings
from reference.level_units import LevelUnits, LevelUnitsSettings, spoken

SMALL = {"size": 16, "layers": 2, "heads": 2, "inner": 32, "dropout": 0.3}
ROWS = [[1, 1, 2, 2, 2, 1, 5, 5], [3, 3, 3, 4], [6]]


def built(*, merged: bool = True) -> UnitLM:
    torch.manual_seed(0)
    model = UnitLM(UnitLMSettings(merged=merged, **SMALL), LevelUnits()).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.network.bias.normal_()
    return model


def tokens_of(model: UnitLM, rows: list[list[int]], rate: float | None = 100.0) -> Tokens:
    ids = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=7)
    return Tokens(ids[:, None], torch.tensor([len(row) for row in rows]), 8, model.tokenizer.fingerprint, rate)


@pytest.mark.parametrize("merged", [True, False])
@torch.no_grad()
def test_it_scores_with_its_cache_as_without(merged: bool) -> None:  # noqa: FBT001
    """`log_probabilities` computes whole sequences, `language_model` goes on from what it has kept."""
    model = built(merged=merged)
    found = model.log_probabilities(tokens_of(model, ROWS))
    forms = [[1, 2, 1, 5], [3, 4], [6]] if merged else ROWS
    assert found.shape == (3, max(map(len, forms)))
    lm = model.language_model
    assert lm.symbols == tuple("01234567")
    for row, scores in zip(forms, found, strict=True):
        states = torch.tensor([lm.start])
        for place, unit in enumerate(row):
            score, states = lm.advance(states, torch.tensor([unit]))
            torch.testing.assert_close(score[0], scores[place], atol=1e-5, rtol=1e-5)
        assert scores[len(row) :].tolist() == [0.0] * (len(scores) - len(row))


@torch.no_grad()
def test_scores_of_an_utterance_do_not_depend_on_its_batch() -> None:
    model = built()
    together = model.log_probabilities(tokens_of(model, ROWS))
    for number, row in enumerate(ROWS):
        alone = model.log_probabilities(tokens_of(model, [row]))[0]
        torch.testing.assert_close(together[number, : len(alone)], alone, atol=1e-5, rtol=1e-5)
    merged = model.prepared(tokens_of(model, ROWS))
    torch.testing.assert_close(model.log_probabilities(merged), together)  # the form that is modelled stays what it is


def test_it_models_runs_merged_or_the_units_of_every_frame() -> None:
    tokens = tokens_of(built(), ROWS)
    for merged in (True, False):
        model = built(merged=merged)
        for form in (tokens, tokens.merged()):
            found = model.modelled(form)
            rows = [row[:length] for row, length in zip(found.ids[:, 0].tolist(), found.lengths.tolist(), strict=True)]
            assert rows == ([[1, 2, 1, 5], [3, 4], [6]] if merged else ROWS)
            assert found.frame_rate == (None if merged else 100.0)


def test_units_of_another_tokenizer_are_refused() -> None:
    model = built()
    other = Tokens(torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([2]), 8, "another", 100.0)
    for use in (model.prepared, model.log_probabilities, lambda tokens: model.generate(tokens, Sampling(1.0), [0])):
        with pytest.raises(UserError, match="made by tokenizer another, and this language model knows those of tokenizer"):
            use(other)
    with pytest.raises(UserError, match="gives 2 symbols to each frame"):
        UnitLM(UnitLMSettings(**SMALL), LevelUnits(LevelUnitsSettings(2)))  # type: ignore[arg-type]


def test_the_loss_is_that_of_units_and_ends_as_texts() -> None:
    """-log p of each unit, and of the end after the last, which is what is left of 1 beside all units and the unknown one."""
    model = built()
    losses = model(Batch(("a", "b"), text=("1 2 1 5", "3 4")), 0)
    with torch.no_grad():
        units = -model.log_probabilities(tokens_of(model, [[1, 2, 1, 5], [3, 4]])).sum()
        given = torch.tensor([[9, 1, 2, 1, 5]]), torch.tensor([[9, 3, 4]])
        ends = -sum(model.network.logits(one).log_softmax(-1)[0, -1, 9] for one in given)
    torch.testing.assert_close(losses.terms["nats"].sum.detach(), units + ends, atol=1e-4, rtol=1e-5)
    assert losses.terms["nats"].count == model.counts(Batch(("a", "b"), text=("1 2 1 5", "3 4")), 0)["nats"] == 4 + 1 + 2 + 1


def test_all_is_trained_but_the_tokenizer_which_drops_nothing() -> None:
    model = built().train()
    assert model.network.training
    assert not model.tokenizer.training  # type: ignore[attr-defined]
    model(Batch(("a",), text=("1 2 1 5",)), 0).total().backward()
    for name, parameter in model.named_parameters():
        trained = not name.startswith("tokenizer.")
        assert parameter.requires_grad == trained, name
        assert (parameter.grad is not None and bool(parameter.grad.any())) == trained, name


def test_it_learns_what_follows_what() -> None:
    model = built()
    optimizer = torch.optim.Adam(model.network.parameters(), lr=1e-2)
    for step in range(60):
        optimizer.zero_grad()
        model(Batch(("a",) * 2, text=("1 2 3 1 2 3 1", "2 3 1 2 3 1 2")), step).total().backward()
        optimizer.step()
    prompt = tokens_of(model.eval(), [[3, 3, 1, 1], []])
    drawn = model.generate(prompt, Sampling(temperature=0, longest=4), [0, 0])
    assert drawn.ids[0, 0].tolist()[:4] == [2, 3, 1, 2]
    assert (drawn.vocabulary, drawn.fingerprint, drawn.frame_rate, drawn.durations) == (8, prompt.fingerprint, None, None)
    assert int(drawn.ids[1, 0, 0]) in {1, 2}  # from nothing, as its texts begin


@pytest.mark.parametrize("merged", [True, False])
def test_what_is_drawn_depends_on_the_prompt_and_the_key_alone(merged: bool) -> None:  # noqa: FBT001
    model = built(merged=merged)
    sampling = Sampling(temperature=4.0, longest=20)
    rows, keys = [*ROWS, ROWS[0]], [5, 6, 7, 8]
    together = model.generate(tokens_of(model, rows), sampling, keys)
    assert together.frame_rate == (None if merged else 100.0)
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        alone = model.generate(tokens_of(model, [row]), sampling, [key])
        length = int(together.lengths[number])
        assert alone.lengths.tolist() == [length]
        assert torch.equal(alone.ids[0, 0], together.ids[number, 0, :length])
    repeated = model.generate(tokens_of(model, 8 * ROWS[:1]), sampling, range(8)).ids[:, 0].tolist()
    assert len(set(map(tuple, repeated))) > 5  # but for those that end at once


@pytest.mark.parametrize("merged", [True, False])
@torch.no_grad()
def test_features_are_the_states_after_each_frames_unit(merged: bool) -> None:  # noqa: FBT001
    model = built(merged=merged)
    waveforms, lengths = spoken(ROWS)
    frames = model.features(waveforms, lengths)
    assert model.layer_names == ("L0", "L1", "L2") == tuple(frames.values)
    assert set(frames.frame_rate.values()) == {100.0}
    assert model.hop("L1") == 160
    for number, row in enumerate(ROWS):
        assert int(frames.lengths["L1"][number]) == len(row) == int(model.frame_count(lengths, "L1")[number])
        for frame in range(len(row)):
            read = row[: frame + 1]
            form = [unit for place, unit in enumerate(read) if not merged or place == 0 or read[place - 1] != unit]
            states = model.network.states(torch.tensor([[9, *form]]))
            for layer, state in zip(model.layer_names, states, strict=True):
                torch.testing.assert_close(frames.values[layer][number, frame], state[0, -1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_features_of_a_clip_do_not_depend_on_its_batch() -> None:
    model = built()
    waveforms, lengths = spoken(ROWS)
    together: Tensor = model.features(waveforms, lengths, ("L2",)).values["L2"]
    for number, length in enumerate(lengths.tolist()):
        alone = model.features(waveforms[number : number + 1, :length], lengths[number : number + 1], ("L2",)).values["L2"][0]
        torch.testing.assert_close(together[number, : len(alone)], alone, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="no layer 'L3'"):
        model.features(waveforms, lengths, ("L3",))


@pytest.mark.parametrize("merged", [True, False])
@torch.no_grad()
def test_clips_of_no_unit_have_no_frames(merged: bool) -> None:  # noqa: FBT001
    model = built(merged=merged)
    waveforms, lengths = spoken(ROWS)
    found = model.features(waveforms, torch.zeros_like(lengths), ("L2",))
    assert found.lengths["L2"].tolist() == [0] * len(ROWS)
    assert model.features(waveforms[:, :0], torch.zeros_like(lengths), ("L2",)).lengths["L2"].tolist() == [0] * len(ROWS)
