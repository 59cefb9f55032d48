"""CPC and ACPC at the paper's size: the reference's start values and sizes, and that the one is the other at K = M."""

import dataclasses
from typing import Any

import pytest
import torch

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation.acpc import ACPC, ACPCSettings
from foresay.models.representation.cpc import CPC, CPCSettings
from foresay.objectives.aligned_contrastive import align
from foresay.objectives.contrastive import contrastive_scores


def _batch(samples: int = 20_480) -> Batch:
    generator = torch.Generator().manual_seed(0)
    waveforms = 0.1 * torch.randn(8, samples, generator=generator)
    return Batch(tuple("abcdefgh"), waveforms, torch.full((8,), samples), keys=torch.arange(8))


@pytest.mark.parametrize(
    "predictions, loss",
    [pytest.param(12, 58.32, marks=pytest.mark.slow), pytest.param(10, 54.31, marks=pytest.mark.slow), (8, 52.52), (6, 52.18), (4, 53.21)],
)
def test_start_losses_of_the_reference(predictions: int, loss: float) -> None:
    torch.manual_seed(0)
    model = ACPC(ACPCSettings(predictions=predictions)).eval()
    with torch.no_grad():
        assert model(_batch(), 0).total().item() == pytest.approx(loss, abs=0.02)


def test_sizes_of_the_reference() -> None:
    # 12 more distances in each of the K tables of relative positions than the reference's fixed 116.
    assert sum(p.numel() for p in CPC(CPCSettings()).parameters()) == 1_317_120 + 1_052_672 + 12 * (1_317_760 + 12 * 32)
    model = CPC(CPCSettings())
    assert (model.receptive_field, model.first_center) == (465, 79)
    assert model.frame_count(torch.tensor([20_480]), "c").tolist() == [128]


def test_cpc_is_acpc_at_k_equal_m() -> None:
    torch.manual_seed(0)
    one = CPC(CPCSettings(dropout=0.0, channels=64, context_size=64, predictions=5))
    other = ACPC(ACPCSettings(dropout=0.0, channels=64, context_size=64, predictions=5, matched=5))
    other.load_state_dict(one.state_dict())
    losses = [model(_batch(), 0) for model in (one, other)]
    assert losses[0].total().item() == pytest.approx(losses[1].total().item(), abs=1e-4)
    assert losses[0].scalars["accuracy"] == losses[1].scalars["accuracy"]
    for loss in losses:
        loss.total().backward()
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-3, msg=name)


def test_contexts_and_predictions_are_causal() -> None:
    torch.manual_seed(0)
    model = ACPC(ACPCSettings(channels=32, context_size=32)).eval()
    waveforms = torch.randn(1, 20_480, requires_grad=True)
    latents = model.encoder(waveforms)
    predictions = model.predictor(model.context(latents)[0])[0, :, 60]
    (predictions * torch.randn_like(predictions)).sum().backward()  # each counts on its own: their sum is 0, they are normalized
    assert waveforms.grad is not None
    assert waveforms.grad[0].nonzero().max() == 160 * 60 + 311


@pytest.mark.parametrize("mode", ["soft", "hard"])
@pytest.mark.parametrize("similarity", ["mean", "dot", "cosine"])
@pytest.mark.parametrize("negatives", ["reference", "other-utterances", "repaired"])
def test_every_setting_trains(mode: str, similarity: str, negatives: str) -> None:
    base = ACPCSettings(channels=32, context_size=32, context="gru", norm="batch", predictor="feed-forward", output_dropout=0.5)
    settings = dataclasses.replace(base, alignment=mode, similarity=similarity, negatives=negatives)  # type: ignore[arg-type]
    model = ACPC(settings)
    losses = model(_batch(5_120), 0)
    losses.total().backward()
    assert losses.total().isfinite()
    assert model.encoder.convolutions[0].weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_bfloat16_stays_within_one_percent() -> None:
    torch.manual_seed(0)
    model = ACPC(ACPCSettings(channels=64, context_size=64)).eval()
    exact = model(_batch(), 0).total()
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(_batch(), 0).total()
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)


def test_inspect_shows_the_alignment() -> None:
    model = ACPC(ACPCSettings(channels=32, context_size=32)).eval()
    posterior = model.inspect(_batch())["alignment_posterior"]
    assert posterior.shape == (8, 116, 12, 8)
    torch.testing.assert_close(posterior.sum(-1), torch.ones(8, 116, 12), atol=1e-4, rtol=0)


def test_a_layer_that_does_not_exist_is_named() -> None:
    model = CPC(CPCSettings(channels=32, context_size=32))
    with pytest.raises(UserError, match="no layer 'd'"):
        model.features(torch.zeros(1, 1600), torch.tensor([1600]), layers=["d"])


def test_too_short_a_window_is_explained() -> None:
    model = CPC(CPCSettings(channels=32, context_size=32))
    with pytest.raises(UserError, match="10 frames hold no position with 12 frames after it"):
        model(Batch(tuple("abcdefgh"), torch.randn(8, 1600), torch.full((8,), 1600), keys=torch.arange(8)), 0)


@pytest.mark.parametrize("model", [CPC(CPCSettings(channels=32, context_size=32)), ACPC(ACPCSettings(channels=32, context_size=32))])
def test_targets_may_be_another_version_of_the_input(model: CPC | ACPC) -> None:
    batch = _batch()
    same = dataclasses.replace(batch, targets=batch.waveforms)
    other = dataclasses.replace(batch, targets=0.1 * torch.randn(8, 20_480, generator=torch.Generator().manual_seed(5)))
    with torch.no_grad():
        losses = [model.eval()(one, 0).total() for one in (batch, same, other)]
    assert losses[0] == losses[1] != losses[2]
    # The past alone reaches the contexts: its gradient through the predictions is there even where the targets are another waveform.
    other.waveforms.requires_grad_()  # type: ignore[union-attr]
    other.targets.requires_grad_()  # type: ignore[union-attr]
    model(other, 0).total().backward()
    assert other.waveforms.grad.any()  # type: ignore[union-attr]
    assert other.targets.grad.any()  # type: ignore[union-attr]


OPTIONS = [
    {"skip_begin": 1, "skip_end": 2},
    {"self_loop": True},
    {"blank": True},
    {"self_loop": True, "blank": True, "temperature": 0.5},
    {"masked": ("0:1, 1:",)},
    {"normalize_latents": True, "normalize_predictions": True},
    {"context": "transformer", "context_layers": 2},
    {"negatives": "queue", "negative_options": {"length": 64, "sampled": 32}},
    {"negatives": "synthetic", "negative_options": {"kind": "perturbed"}},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_trains_every_parameter(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = ACPC(ACPCSettings(channels=32, context_size=32, predictions=4, matched=6, **options))
    for step in range(2):  # the second time there is something in the queue
        model.zero_grad()
        loss = model(_batch(5_120), step).total()
        loss.backward()
        model.after_step(step)
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    posterior = model.inspect(_batch(5_120))["alignment_posterior"]
    states = 4 + options.get("self_loop", False) + options.get("blank", False)
    assert posterior.shape == (8, 26, 6, states)
    torch.testing.assert_close(posterior.sum(-1), torch.ones(8, 26, 6), atol=1e-4, rtol=0)


def test_a_self_loop_takes_the_frames_that_are_still_the_same() -> None:
    """Where the next frames are copies of the current one, they are aligned to it, and not to a prediction."""
    torch.manual_seed(0)
    model = ACPC(ACPCSettings(channels=32, context_size=32, predictions=2, matched=6, self_loop=True, similarity="dot")).eval()
    current = torch.randn(1, 1, 32)
    latents = torch.cat([current.expand(1, 4, 32), 3 * torch.randn(1, 6, 32)], dim=1).expand(8, 10, 32)
    scores = contrastive_scores(
        model._with_extra_states(torch.zeros(8, 2, 4, 32), latents[:, :4]),
        latents,
        model.negatives(latents, model.negatives.drawn(10, torch.arange(8), 4, 6)),
        6,
        "dot",
    )
    path = align(scores, model.lattice).path
    assert path[0, 0, :3].tolist() == [0, 0, 0]
