"""Two directions: each depends only on its own side, and turning the audio around turns the features around."""

import torch

from foresay.contracts import Batch
from foresay.models.representation.bidirectional_acpc import BidirectionalACPC, BidirectionalACPCSettings


def _model() -> BidirectionalACPC:
    torch.manual_seed(0)
    return BidirectionalACPC(BidirectionalACPCSettings(channels=32, context_size=32, context_layers=1, predictions=3, matched=5)).eval()


def test_each_half_of_c_depends_on_its_own_side_of_a_frame() -> None:
    model = _model()
    latents = torch.randn(1, 60, 32, requires_grad=True)
    for half, first, last in ((slice(0, 32), 0, 30), (slice(32, 64), 30, 59)):
        latents.grad = None
        model.contexts(latents, torch.tensor([60]))[0, 30, half].sum().backward()
        assert latents.grad is not None
        reached = latents.grad[0].abs().sum(-1).nonzero().flatten()
        assert (int(reached.min()), int(reached.max())) == (first, last)


@torch.no_grad()
def test_a_shorter_clip_is_turned_around_at_its_own_end() -> None:
    model = _model()
    latents = torch.randn(2, 60, 32)
    both = model.contexts(latents, torch.tensor([60, 40]))
    alone = model.contexts(latents[1:, :40], torch.tensor([40]))
    torch.testing.assert_close(both[1, :40], alone[0], atol=1e-6, rtol=1e-5)


def test_backwards_is_forwards_on_latents_turned_around() -> None:
    model = _model()
    model.backwards.load_state_dict(model.forwards.state_dict())
    waveforms = torch.zeros(8, 4_800)  # of 30 frames
    drawn = model._draw(Batch(tuple("abcdefgh"), waveforms, torch.full((8,), 4_800), keys=torch.arange(8)))
    latents = torch.randn(8, 30, 32)
    contexts, _ = model.forwards.context(latents)
    ahead = model.forwards(contexts, latents, drawn.forwards)
    behind = model.backwards(contexts, latents, drawn.backwards)
    torch.testing.assert_close(ahead.positives, behind.positives)
    assert not torch.equal(ahead.negatives, behind.negatives)  # each direction draws its own


def test_both_directions_learn() -> None:
    model = _model()
    waveforms = 0.1 * torch.randn(8, 8_000, generator=torch.Generator().manual_seed(1))
    losses = model(Batch(tuple("abcdefgh"), waveforms, torch.full((8,), 8_000), keys=torch.arange(8)), 0)
    assert set(losses.terms) == {"forwards", "backwards"}
    losses.total().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.forwards.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.backwards.parameters())
