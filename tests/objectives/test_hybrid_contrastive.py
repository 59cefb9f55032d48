"""Hybrid negatives against loops over rows; the log 2 of the algorithm as published; what is left alone by gradients, order and groups."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foresay import draws
from foresay.errors import UserError
from foresay.objectives.hybrid_contrastive import HybridContrast, HybridLoss
from reference.hybrid_loops import loop_losses

UTTERANCES, FRAMES, SIZE, SECOND = 4, 6, 8, 5
KEYS = torch.arange(20, 20 + UTTERANCES)


def vectors(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def inputs(count: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions (B, K, W, D), latents (B, T, D), others (B, T', D)."""
    return vectors(0, UTTERANCES, count, FRAMES - count, SIZE), vectors(1, UTTERANCES, FRAMES, SIZE), vectors(2, UTTERANCES, SECOND, SIZE)


def contrast(group: int = UTTERANCES, **options: float | bool | str) -> HybridContrast:
    chosen: dict[str, Any] = {"queue": 0, "perturbed": False, "shuffled": False, **options}
    return HybridContrast(SIZE, group, **chosen).double()


def loss_of(hybrid: HybridContrast, predictions: Tensor, latents: Tensor, keys: Tensor | None, others: Tensor | None = None) -> HybridLoss:
    """Draw, compute, and keep what the queue takes in, as a model does."""
    found = hybrid(predictions, latents, hybrid.draw(latents.shape[1], keys), others)
    hybrid.keep(found.candidates)
    return found


def noise(key: int, rows: int) -> Tensor:
    return torch.randn(rows, SIZE, generator=draws.generator("perturbed audio", key)).double()


KINDS = ("queue", "perturbed", "shuffled", "others")


@pytest.mark.parametrize("kinds", [kinds for n in range(len(KINDS) + 1) for kinds in itertools.combinations(KINDS, n)], ids="+".join)
@pytest.mark.parametrize("as_published", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_loss_and_gradients_equal_a_loop_over_rows(kinds: tuple[str, ...], *, as_published: bool, normalize: bool) -> None:
    predictions, latents, others = inputs()
    hybrid = contrast(
        temperature=0.5,
        normalize=normalize,
        queue=7 if "queue" in kinds else 0,
        sigma=0.3,
        perturbed="perturbed" in kinds,
        shuffled="shuffled" in kinds,
        detach_others=False,
        as_published=as_published,
    )
    past = vectors(3, 1, 4, SIZE).detach()[0]
    if hybrid.queue is not None:
        hybrid.queue.wait(F.normalize(past, dim=-1) if normalize else past)
        hybrid.after_step()
    found = loss_of(hybrid, predictions, latents, KEYS, others if "others" in kinds else None)

    def unit(values: Tensor) -> Tensor:
        return F.normalize(values, dim=-1) if normalize else values

    targets = unit(latents[:, 1:].reshape(-1, SIZE))
    expected = loop_losses(
        unit(predictions.reshape(-1, SIZE)),
        targets,
        temperature=0.5,
        queue=unit(past) if "queue" in kinds else None,
        perturbed=unit(targets + 0.3 * noise(20, len(targets))) if "perturbed" in kinds else None,
        order=torch.randperm(len(targets)) if "shuffled" in kinds else None,
        others=unit(others.reshape(-1, SIZE)) if "others" in kinds else None,
        own_shuffled=as_published,
    )
    assert found.term.count == len(expected) == UTTERANCES * (FRAMES - 1)
    total = torch.stack(expected).sum()
    torch.testing.assert_close(found.term.sum, total)
    needed = (predictions, latents, *((others,) if "others" in kinds else ()))
    for mine, theirs in zip(torch.autograd.grad(found.term.sum, needed), torch.autograd.grad(total, needed), strict=True):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(sum(found.shares.values()), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("shuffle", ["time", "rows", "not at all"])
def test_how_the_latents_are_shuffled_makes_no_difference(shuffle: str) -> None:
    predictions, latents, _ = inputs()
    rows = torch.arange(UTTERANCES * (FRAMES - 1)).view(UTTERANCES, -1)
    order = {
        "time": torch.stack([utterance[torch.randperm(FRAMES - 1)] for utterance in rows]).flatten(),
        "rows": torch.randperm(rows.numel()),
        "not at all": rows.flatten(),
    }[shuffle]
    mine = loss_of(contrast(normalize=False, shuffled=True), predictions, latents, KEYS).term.sum
    theirs = loop_losses(predictions.reshape(-1, SIZE), latents[:, 1:].reshape(-1, SIZE), temperature=0.1, order=order)
    torch.testing.assert_close(mine, torch.stack(theirs).sum())


@pytest.mark.parametrize("masked", [False, True])
def test_only_the_own_perturbed_copy_is_masked(*, masked: bool) -> None:
    predictions, latents, _ = inputs()
    hybrid = contrast(normalize=False, perturbed=True, sigma=0.2, perturbed_self="mask" if masked else "keep")
    targets = latents[:, 1:].reshape(-1, SIZE)
    copies = targets + 0.2 * noise(20, len(targets))
    expected = loop_losses(predictions.reshape(-1, SIZE), targets, temperature=0.1, perturbed=copies, own_perturbed=not masked)
    torch.testing.assert_close(loss_of(hybrid, predictions, latents, KEYS).term.sum, torch.stack(expected).sum())


def test_several_steps_ahead_each_have_their_own_target() -> None:
    predictions, latents, _ = inputs(3)
    found = loss_of(contrast(normalize=False), predictions, latents, KEYS)
    targets = latents[:, 1:].reshape(-1, SIZE)
    total = torch.zeros((), dtype=torch.float64)
    for b, k, t in itertools.product(range(UTTERANCES), range(3), range(FRAMES - 3)):
        scores = targets @ predictions[b, k, t] / 0.1
        assert torch.equal(targets[b * (FRAMES - 1) + t + k], latents[b, t + k + 1])
        total = total - scores.log_softmax(0)[b * (FRAMES - 1) + t + k]
    torch.testing.assert_close(found.term.sum, total)
    assert found.term.count == UTTERANCES * (FRAMES - 3)


def test_the_algorithm_as_published_cannot_do_better_than_log_2() -> None:
    latents = F.one_hot(torch.arange(UTTERANCES * FRAMES)).double().view(UTTERANCES, FRAMES, -1)  # nothing is like anything else
    predictions = latents[:, None, 1:]  # perfect
    options = {"queue": 0, "perturbed": False, "temperature": 0.02}
    for as_published, lowest, accuracy in ((True, math.log(2), 0.0), (False, 0.0, 1.0)):
        found = loss_of(HybridContrast(latents.shape[-1], UTTERANCES, as_published=as_published, **options), predictions, latents, KEYS)
        assert float(found.term.sum / found.term.count) == pytest.approx(lowest, abs=1e-9)
        assert found.accuracy == accuracy
    # And whatever the predictions are, it is never lower.
    random = loss_of(contrast(shuffled=True, as_published=True), *inputs()[:2], KEYS)
    assert random.term.sum / random.term.count > math.log(2)


def test_as_published_shuffled_latents_teach_nothing() -> None:
    """Twice every candidate, the target too: log 2 more, and the gradient of the in-batch negatives alone."""
    predictions, latents, _ = inputs()
    plain = loss_of(contrast(), predictions, latents, KEYS).term
    published = loss_of(contrast(shuffled=True, as_published=True), predictions, latents, KEYS).term
    torch.testing.assert_close(published.sum, plain.sum + math.log(2) * plain.count)
    needed = (predictions, latents)
    for one, other in zip(torch.autograd.grad(published.sum, needed), torch.autograd.grad(plain.sum, needed), strict=True):
        torch.testing.assert_close(one, other)


def test_the_order_of_utterances_makes_no_difference() -> None:
    predictions, latents, others = inputs()
    hybrid = contrast(shuffled=True, queue=9)
    order = torch.tensor([2, 0, 3, 1])
    one = loss_of(hybrid, predictions, latents, KEYS, others)
    another = loss_of(hybrid, predictions[order], latents[order], KEYS[order], others[order])
    torch.testing.assert_close(one.term.sum, another.term.sum)
    assert one.accuracy == another.accuracy


def test_groups_do_not_meet() -> None:
    predictions, latents, others = inputs(2)
    hybrid = contrast(2, perturbed=True, shuffled=True, perturbed_self="mask", queue=100)
    whole = loss_of(hybrid, predictions, latents, KEYS, others)
    halves = [loss_of(hybrid, predictions[at], latents[at], KEYS[at], others[at]) for at in (slice(2), slice(2, None))]
    torch.testing.assert_close(sum(half.term.sum for half in halves), whole.term.sum)
    assert sum(half.term.count for half in halves) == whole.term.count
    assert loss_of(hybrid, predictions, latents, KEYS + 1, others).term.sum != whole.term.sum  # another key, other noise


def test_accuracy_and_shares_say_what_is_hard() -> None:
    predictions, latents, others = inputs()
    found = loss_of(contrast(normalize=False, perturbed=True, sigma=0.2, queue=0), predictions, latents, KEYS, others)
    targets = latents[:, 1:].reshape(-1, SIZE)
    choices = torch.cat([targets, targets + 0.2 * noise(20, len(targets)), others.reshape(-1, SIZE)])
    scores = predictions.reshape(-1, SIZE) @ choices.T / 0.1
    best = scores.argmax(dim=1)
    assert found.accuracy.item() == pytest.approx((best == torch.arange(len(targets))).double().mean().item())
    scores.fill_diagonal_(-torch.inf)
    pushes = scores.softmax(1).mean(0)
    assert list(found.shares) == ["in batch", "perturbed", "others"]
    torch.testing.assert_close(found.shares["perturbed"], pushes[len(targets) : 2 * len(targets)].sum().detach())


def test_nothing_flows_into_the_queue_nor_into_others_unless_asked() -> None:
    predictions, latents, others = inputs()
    hybrid = contrast(queue=8)
    loss_of(hybrid, predictions, latents, KEYS)
    hybrid.after_step()
    assert hybrid.queue is not None
    assert not hybrid.queue.latents.requires_grad
    earlier = inputs()[1]
    found = loss_of(hybrid, predictions, earlier, KEYS, others)
    assert "queue" in found.shares
    assert torch.autograd.grad(found.term.sum, (latents, others), allow_unused=True) == (None, None)
    found = loss_of(contrast(detach_others=False), predictions, latents, KEYS, others)
    assert torch.autograd.grad(found.term.sum, others)[0].abs().sum() > 0


def test_the_queue_is_met_one_update_later_and_lies_in_the_checkpoint() -> None:
    predictions, latents, _ = inputs()
    hybrid = contrast(queue=50)
    first = loss_of(hybrid, predictions, latents, KEYS)
    again = loss_of(hybrid, predictions, latents, KEYS)  # another micro-batch of the same update
    assert torch.equal(first.term.sum, again.term.sum)
    hybrid.after_step()
    assert loss_of(hybrid, predictions, latents, KEYS).term.sum > first.term.sum
    resumed = contrast(queue=50)
    resumed.load_state_dict(hybrid.state_dict())
    assert torch.equal(loss_of(resumed, predictions, latents, KEYS).term.sum, loss_of(hybrid, predictions, latents, KEYS).term.sum)
    assert resumed.queue is not None
    assert int(resumed.queue.arrived) == 2 * UTTERANCES * (FRAMES - 1)


def test_what_cannot_be_contrasted_is_explained() -> None:
    predictions, latents, _ = inputs()
    with pytest.raises(UserError, match="sigma = 0"):
        contrast(perturbed=True, sigma=0.0)
    with pytest.raises(UserError, match="temperature above 0"):
        contrast(temperature=0.0)
    with pytest.raises(UserError, match="no keys"):
        loss_of(contrast(), predictions, latents, None)
    with pytest.raises(UserError, match="groups of 3"):
        loss_of(contrast(3), predictions, latents, KEYS)
    with pytest.raises(UserError, match="no negative: use"):
        loss_of(contrast(1), predictions[:, :, :1], latents[:, :2], KEYS)
    alone = loss_of(contrast(1, perturbed=True), predictions[:1], latents[:1], KEYS[:1])  # one utterance of several latents is enough
    assert alone.term.sum.isfinite()
