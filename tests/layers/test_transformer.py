"""Blocks equal PyTorch's own encoder layers; padding is not seen; LayerDrop keeps its law."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from foresay.layers.dropout import layers_kept
from foresay.layers.transformer import Transformer


def _transformer(layers: int = 3, *, pre_norm: bool = False, **options: float) -> Transformer:
    built = Transformer(16, layers, 2, 24, pre_norm=pre_norm, **options)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return built


def _theirs(block: nn.Module, *, pre_norm: bool) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(16, 2, 24, activation="gelu", batch_first=True, norm_first=pre_norm)
    own = {"query_key_value": "self_attn.in_proj", "attention.output": "self_attn.out_proj", "feed_forward.0": "linear1"}
    own |= {"feed_forward.3": "linear2", "attention_norm": "norm1", "feed_forward_norm": "norm2"}
    weights = {}
    for name, value in block.state_dict().items():
        place, _, kind = name.rpartition(".")
        theirs = own[place.removeprefix("attention.") if "query" in place else place]
        weights[f"{theirs}_{kind}" if theirs.endswith("in_proj") else f"{theirs}.{kind}"] = value
    layer.load_state_dict(weights)
    return layer.eval()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_it_is_a_stack_of_encoder_layers(*, pre_norm: bool) -> None:
    ours = _transformer(pre_norm=pre_norm).eval()
    frames = torch.randn(2, 7, 16)
    states = ours(frames)
    expected = [frames if pre_norm else ours.norm(frames)]
    for block in ours.blocks:
        expected.append(_theirs(block, pre_norm=pre_norm)(expected[-1]))
    if pre_norm:
        expected[-1] = ours.norm(expected[-1])
    for state, theirs in zip(states, expected, strict=True):
        torch.testing.assert_close(state, theirs, atol=1e-5, rtol=0)
    some = ours(frames, depth=2)
    assert len(some) == 3
    torch.testing.assert_close(some[2], states[2])


@pytest.mark.parametrize("pre_norm", [False, True])
def test_padding_is_not_seen(*, pre_norm: bool) -> None:
    ours = _transformer(pre_norm=pre_norm).eval()
    frames, lengths = torch.randn(3, 9, 16), torch.tensor([9, 4, 0])
    together = ours(frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        for state, alone in zip(together, ours(frames[row : row + 1, :length]), strict=True):
            torch.testing.assert_close(state[row, :length], alone[0], atol=1e-5, rtol=0)
    assert all(state.isfinite().all() for state in together)


def test_without_a_mask_is_with_a_mask_that_hides_nothing() -> None:
    ours = _transformer().eval()
    frames = torch.randn(2, 9, 16)
    for without, masked in zip(ours(frames), ours(frames, torch.tensor([9, 9])), strict=True):
        torch.testing.assert_close(without, masked, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lengths", [None, torch.tensor([9, 5])])
def test_attention_with_dropout_is_attention_on_average(lengths: Tensor | None) -> None:
    attention = _transformer(1, attention_dropout=0.3).blocks[0].attention
    frames = torch.randn(2, 9, 16)
    mask = None if lengths is None else (torch.arange(9) < lengths[:, None])[:, None, None]
    with torch.no_grad():
        expected = attention.eval()(frames, mask)
        draws = torch.stack([attention.train()(frames, mask) for _ in range(1_000)])
    deviation = (draws.mean(0) - expected) / (draws.std(0) / math.sqrt(1_000))
    assert float(deviation.abs().max()) < 5  # of 288 nearly normal numbers
    almost = _transformer(1, attention_dropout=1e-9).blocks[0].attention.train()
    torch.testing.assert_close(almost(frames, mask), almost.eval()(frames, mask), atol=1e-5, rtol=0)


@pytest.mark.parametrize("training", [False, True])
def test_a_position_bias_is_added_to_the_logits(*, training: bool) -> None:
    ours = _transformer(attention_dropout=1e-9).train(training)  # in training the attention is computed another way
    frames, lengths = torch.randn(2, 9, 16), torch.tensor([9, 6])
    inputs: list[Tensor] = []

    def only_the_past(given: Tensor, number: int) -> Tensor:
        assert number == len(inputs)
        inputs.append(given)
        return torch.full((1, 2, 9, 9), -torch.inf).triu(1)

    states = ours(frames, lengths, position_bias=only_the_past)
    torch.testing.assert_close(torch.stack(inputs), torch.stack(states[:-1]))
    for upto in (1, 4, 6):
        torch.testing.assert_close(states[-1][:, :1], ours(frames[:, :upto], depth=3, position_bias=_past(upto))[-1][:, :1])
    same = ours(frames, lengths, position_bias=lambda given, _: torch.ones(given.shape[0], 2, 9, 9))
    torch.testing.assert_close(same[-1][1, :6], ours(frames, lengths)[-1][1, :6], atol=1e-5, rtol=0)


def _past(frames: int):  # noqa: ANN202 - a position bias
    return lambda _given, _number: torch.full((1, 2, frames, frames), -torch.inf).triu(1)


def test_layers_are_dropped_by_the_step() -> None:
    kept = torch.stack([_kept(step) for step in range(4_000)]).double()
    # 4,000 draws a layer: a standard deviation of 0.0063.
    torch.testing.assert_close(kept.mean(0), torch.full((12,), 0.8, dtype=torch.float64), atol=0.025, rtol=0)
    together = torch.corrcoef(torch.cat([kept, kept.roll(1, 0)], dim=1).T) - torch.eye(24)
    assert float(together.abs().max()) < 0.08  # layers and neighboring steps are independent
    assert torch.equal(_kept(7), _kept(7))
    assert layers_kept((0, 7), 12, 0.0) is None


def _kept(step: int) -> Tensor:
    kept = layers_kept((0, step), 12, 0.2)
    assert kept is not None
    return kept


def test_a_dropped_block_changes_nothing_and_has_the_gradient_zero() -> None:
    ours = _transformer(layers=6, layer_drop=0.5)
    frames = torch.randn(2, 9, 16)
    kept = layers_kept((0, 3), 6, 0.5)
    assert kept is not None
    assert {True, False} == set(kept.tolist())
    states = ours.train()(frames, kept=ours.draw((0, 3)))
    for keep, (before, after) in zip(kept.tolist(), itertools.pairwise(states), strict=True):
        assert torch.equal(before, after) != keep
    states[-1].square().sum().backward()
    for keep, block in zip(kept.tolist(), ours.blocks, strict=True):
        for parameter in block.parameters():
            assert parameter.grad is not None
            assert bool(parameter.grad.ne(0).any()) == keep
    for states in (ours(frames), ours.eval()(frames, kept=ours.draw((0, 3)))):  # no step; no training
        assert not any(torch.equal(before, after) for before, after in itertools.pairwise(states))


@pytest.mark.parametrize("pre_norm", [False, True])
def test_checkpointing_changes_no_gradient(*, pre_norm: bool) -> None:
    frames, gradients = torch.randn(2, 9, 16), []
    for checkpoint in (False, True):
        torch.manual_seed(1)
        ours = _transformer(pre_norm=pre_norm, dropout=0.1, attention_dropout=0.1, layer_drop=0.3, checkpoint=checkpoint)
        torch.manual_seed(2)
        ours.train()(frames, torch.tensor([9, 6]), kept=ours.draw((0, 1)))[-1][:, :6].square().sum().backward()
        gradients.append([parameter.grad for parameter in ours.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_it_begins_as_bert() -> None:
    ours = Transformer(64, 2, 4, 256)
    for module in ours.modules():
        if isinstance(module, nn.Linear):
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
            assert module.bias.eq(0).all()


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_padding_that_is_not_computed_changes_nothing(*, pre_norm: bool, biased: bool) -> None:
    torch.manual_seed(0)
    model = Transformer(8, 3, 2, 16, pre_norm=pre_norm)
    weights = torch.randn(8, 2)

    def bias(frames: Tensor, block: int) -> Tensor:
        gates = (frames @ weights).transpose(1, 2)  # (B, H, T)
        return (1 + block) * gates[..., None] * torch.arange(frames.shape[1]) / 10

    lengths, frames = torch.tensor([7, 4, 1]), torch.randn(3, 7, 8)
    own = torch.arange(7) < lengths[:, None]
    rows, kept = own.flatten().nonzero()[:, 0], torch.tensor([True, False, True])
    found = []
    for given in (None, rows):
        states = model(frames, lengths, kept=kept, position_bias=bias if biased else None, rows=given)
        model.zero_grad()
        sum((state[own] ** 2).sum() for state in states).backward()
        found.append(([state[own] for state in states], [parameter.grad.clone() for parameter in model.parameters()]))
        padding = [state[~own] for state in states]
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)
    assert not any(state.any() for state in padding)
