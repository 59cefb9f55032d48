"""The plain step that the benchmarks compare with is a true reference: from the same weights and draws, ours has its loss and gradients."""

import pytest
import torch
from torch import Tensor

from foresay.contracts import Batch
from foresay.models.representation.acpc import ACPC, ACPCSettings
from foresay.models.representation.cpc import CPC, CPCSettings
from reference.plain_training import PlainNetwork, ctc_acpc_loss, elementwise_cpc_loss, gather_negatives, plain_copy

BATCH, SAMPLES, FRAMES, GROUP = 4, 8000, 50, 2


def _batch() -> Batch:
    waveforms = 0.1 * torch.randn(BATCH, SAMPLES)
    return Batch(tuple("abcd"), waveforms, torch.full((BATCH,), SAMPLES), keys=torch.arange(BATCH))


def _parts(model: CPC | ACPC, batch: Batch, ahead: int) -> tuple[PlainNetwork, Tensor, list[Tensor], Tensor]:
    """The plain copy; its latents, predictions and negatives, these drawn as ours draws them."""
    plain = plain_copy(model, FRAMES - ahead)
    latents, predictions = plain(batch.waveforms)
    rows = model.negatives.drawn(FRAMES, batch.keys, FRAMES - ahead, ahead).rows
    return plain, latents, predictions, gather_negatives(latents, rows, GROUP)


def _agree(model: CPC | ACPC, plain: PlainNetwork, batch: Batch, loss: Tensor) -> None:
    loss.backward()
    mine = model(batch, 0).total()
    mine.backward()
    torch.testing.assert_close(mine, loss, atol=1e-4, rtol=0)
    pairs = [
        (model.encoder.convolutions[1].weight.grad, plain.encoder[3].weight.grad),
        (model.predictor.inner.grad[-1], plain.heads[-1].inner.weight.grad.T),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_cpc_is_the_plain_elementwise_step() -> None:
    model = CPC(CPCSettings(channels=64, context_size=64, predictions=3, dropout=0.0, negative_count=16, negative_group=GROUP))
    batch = _batch()
    plain, latents, predictions, negatives = _parts(model, batch, ahead=3)
    _agree(model, plain, batch, elementwise_cpc_loss(predictions, latents, negatives))


@pytest.mark.parametrize("predictions, matched", [(4, 4), (3, 5)])
def test_acpc_is_the_plain_step_through_ctc(predictions: int, matched: int) -> None:
    sizes = {"channels": 64, "context_size": 64, "negative_count": 16, "negative_group": GROUP}
    model = ACPC(ACPCSettings(predictions=predictions, matched=matched, dropout=0.0, **sizes))  # type: ignore[arg-type]
    batch = _batch()
    plain, latents, heads, negatives = _parts(model, batch, ahead=matched)
    _agree(model, plain, batch, ctc_acpc_loss(heads, latents, negatives, matched))


def test_the_plain_network_is_of_the_papers_size() -> None:
    network = PlainNetwork(predictions=12, positions=116)
    assert sum(p.numel() for p in network.parameters()) == 1_317_120 + 1_052_672 + 12 * 1_317_760
