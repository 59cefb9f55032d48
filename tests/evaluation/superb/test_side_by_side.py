"""Heads that learn side by side are those that learn alone, and PyTorch's own Adam and clipping say how."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.evaluation.superb.heads import FrameHead, PooledHead, RecurrentHead
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.side_by_side import CLIP, SideBySide

LAYERS, SIZE, CLASSES, COUNT = 3, 5, 4, 6
RATES = (1e-1, 1e-2, 1e-3, 1e-4)
UPDATES = 10


def pooled(only: int | None) -> nn.Module:
    return PooledHead(LayerSum(LAYERS, only), (SIZE, 8, CLASSES), normed=False)


def statistics(only: int | None) -> nn.Module:
    return PooledHead(LayerSum(LAYERS, only), (SIZE, 8, CLASSES), normed=True, deviation=True)


def framed(only: int | None) -> nn.Module:
    return FrameHead(LayerSum(LAYERS, only), (SIZE, 8, CLASSES), normed=True)


def recurrent(only: int | None) -> nn.Module:
    return RecurrentHead(LayerSum(LAYERS, only), (SIZE, 4, CLASSES), 3, normed=False)


KINDS = [pooled, statistics, framed, recurrent]
"""PyTorch does not compute the last one side by side."""


def built(kind: Callable[[int | None], nn.Module]) -> list[nn.Module]:
    """One head for each rate, with starts of their own; the second one takes layer 1 alone."""
    heads = []
    for number in range(len(RATES)):
        torch.manual_seed(number)
        heads.append(kind(1 if number == 1 else None))
    return heads


def batches(kind: Callable[[int | None], nn.Module], count: int = UPDATES) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Features so large that gradients are clipped, but for LSTMs, in which rounding would grow; their lengths; classes."""
    random = torch.Generator().manual_seed(7)
    shape = (COUNT, 2, 2, LAYERS, SIZE) if kind in {pooled, statistics} else (COUNT, 8, LAYERS, SIZE)
    lengths, scale = torch.tensor([8, 8, 7, 6, 3, 2]), 1 if kind is recurrent else 20
    return [
        (scale * torch.randn(shape, generator=random), lengths, torch.randint(CLASSES, (COUNT,), generator=random)) for _ in range(count)
    ]


def losses_of(outputs: Tensor, right: Tensor) -> Tensor:
    """Cross-entropy, of frames their mean: (G, B, …, C) -> (G,)."""
    scores = outputs if outputs.ndim == 3 else outputs.mean(2)
    return torch.stack([F.cross_entropy(one, right) for one in scores])


def learn(side: SideBySide, given: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    """Return the losses (G,) of each update."""
    found = []
    for features, lengths, right in given:
        losses = losses_of(side(features, lengths), right)
        found.append(losses.detach())
        side.update(losses)
    return found


@pytest.mark.parametrize("kind, grouped", [*((kind, True) for kind in KINDS[:-1]), *((kind, False) for kind in KINDS)])
def test_each_head_learns_as_if_it_were_alone(kind: Callable[[int | None], nn.Module], *, grouped: bool) -> None:
    given = batches(kind)
    together = SideBySide(built(kind), RATES, grouped=grouped)
    losses = torch.stack(learn(together, given))
    for place, rate in enumerate(RATES):
        alone = SideBySide([built(kind)[place]], [rate], grouped=grouped)
        torch.testing.assert_close(losses[:, place], torch.stack(learn(alone, given))[:, 0], rtol=1e-5, atol=1e-5)
        for name, values in alone.weights.items():
            torch.testing.assert_close(together.weights[name][place], values[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_each_head_learns_as_by_pytorch(kind: Callable[[int | None], nn.Module], decay: float) -> None:
    given = [(features.double(), lengths, right) for features, lengths, right in batches(kind)]
    side = SideBySide([head.double() for head in built(kind)], RATES, decay=decay, grouped=kind is not recurrent)
    losses = torch.stack(learn(side, given))
    clipped = 0
    for place, (head, rate) in enumerate(zip(built(kind), RATES, strict=True)):
        head.double()
        adam = torch.optim.AdamW(head.parameters(), rate, weight_decay=decay) if decay else torch.optim.Adam(head.parameters(), rate)
        for update, (features, lengths, right) in enumerate(given):
            loss = losses_of(head(features, lengths)[None], right)[0]
            adam.zero_grad()
            loss.backward()
            clipped += int(nn.utils.clip_grad_norm_(head.parameters(), CLIP) > CLIP)
            adam.step()
            torch.testing.assert_close(losses[update, place], loss.detach(), rtol=1e-6, atol=1e-6)
        for name, values in head.named_parameters():
            torch.testing.assert_close(side.weights[name][place].detach(), values.detach(), rtol=1e-6, atol=1e-6)
    assert clipped or kind in {framed, recurrent}
    assert len(side) == len(RATES)


def test_a_head_without_a_finite_gradient_stays_as_it_is_and_harms_no_other() -> None:
    given = batches(pooled)
    side, without = SideBySide(built(pooled), RATES), SideBySide(built(pooled), RATES)
    learn(without, given)
    first = {name: values[2].detach().clone() for name, values in side.weights.items()}
    for number, (features, lengths, right) in enumerate(given):
        bad = [torch.nan, torch.inf, -torch.inf][number % 3]
        side.update(losses_of(side(features, lengths), right) * torch.tensor([1.0, 1.0, bad, 1.0]))
    for name, values in side.weights.items():
        assert torch.equal(values[2], first[name])
        for other in (0, 1, 3):
            assert torch.equal(values[other], without.weights[name][other])


def test_one_weight_whose_gradient_is_not_finite_stops_its_whole_head() -> None:
    side = SideBySide(built(pooled), RATES)
    first = side.weights["projector.weight"].detach().clone()
    features, lengths, right = batches(pooled)[0]
    losses = losses_of(side(features, lengths), right)
    side.update(torch.cat([losses[:3], losses[3:] + side.weights["output.bias"][3, :1] * torch.inf]))
    moved = (side.weights["projector.weight"] != first).flatten(1).any(1)
    assert moved.tolist() == [True, True, True, False]


def test_what_is_kept_is_what_was_then() -> None:
    given = batches(pooled)
    side = SideBySide(built(pooled), RATES)
    features, lengths, _ = given[0]
    start = side.judged(features, lengths, kept=False)
    learn(side, given[:5])
    fifth = side.judged(features, lengths, kept=False)
    side.keep(torch.tensor([True, False, True, False]))
    learn(side, given[5:])
    last = side.judged(features, lengths, kept=False)
    kept = side.judged(features, lengths, kept=True)
    for place, expected in enumerate((fifth, start, fifth, start)):
        assert torch.equal(kept[place], expected[place])
        assert not torch.equal(kept[place], last[place])
    assert not kept.requires_grad


@pytest.mark.parametrize("grouped", [True, False])
def test_dropout_is_of_learning_alone_and_the_same_for_all_heads(*, grouped: bool) -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(SIZE, 50), nn.Dropout(0.5), nn.Linear(50, CLASSES))
    side = SideBySide([head, head], (1e-2, 1e-2), grouped=grouped)
    given = torch.randn(COUNT, SIZE)
    outputs = side(given)
    torch.testing.assert_close(outputs[0], outputs[1])
    judged = side.judged(given, kept=False)
    assert not torch.allclose(outputs, judged)
    torch.testing.assert_close(judged[0], head.eval()(given))
    head.train()
    assert not torch.allclose(side(given), judged)  # dropout is back


def test_what_is_kept_may_be_on_another_device() -> None:
    side = SideBySide([nn.Linear(2, 3) for _ in range(2)], [0.1, 0.1], device="meta")
    side.keep(torch.tensor([True, False]))
    assert side.best["weight"].device.type == "meta"
