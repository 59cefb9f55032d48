"""wav2vec 2.0: its loss part by part, its ablations, its recipes and their sizes."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from foresay.objectives.masked_contrastive import draw_distractors
from foresay.training.recipe import read_recipe
from reference.masked_contrastive_loops import loop_diversity, loop_loss

SMALL: dict[str, Any] = {
    "channels": 16,
    "size": 32,
    "layers": 2,
    "heads": 2,
    "inner": 48,
    "position_kernel": 16,
    "position_groups": 4,
    "mask_length": 5,
    "mask_probability": 0.1,
    "codes": 6,
    "code_size": 8,
    "target_size": 12,
    "negative_count": 9,
    "group": 2,
}


def build(**settings: Any) -> Wav2Vec2:  # noqa: ANN401
    torch.manual_seed(0)
    return Wav2Vec2(Wav2Vec2Settings(**(SMALL | settings)))


def batch_of(size: int = 4, samples: int = 12_000, lengths: list[int] | None = None) -> Batch:
    waveforms = torch.randn(size, samples, generator=torch.Generator().manual_seed(1))
    return Batch(tuple(map(str, range(size))), waveforms, torch.tensor(lengths or [samples] * size), keys=torch.arange(5, 5 + size))


@pytest.mark.parametrize("lengths", [[12_000] * 4, [12_000, 9_000, 7_000, 11_000]], ids=["rectangular", "padded"])
@torch.no_grad()
def test_the_loss_is_that_of_the_equations(lengths: list[int]) -> None:
    model, batch = build(feature_penalty=10.0).eval(), batch_of(lengths=lengths)
    losses = model(batch, 0)
    frames = model.frame_count(batch.lengths, "L0").tolist()
    mask = model.mask(frames, batch.keys)
    latents = model.latents(model.clips(batch)[0])
    states = model.encode(latents.values, mask, torch.tensor(frames))[-1]
    contexts, targets, probabilities, codes = [], [], [], []
    for b in range(4):
        quantized = model.quantizer(latents.values[b : b + 1, mask[b]], 1.0)
        contexts.append(model.context_projection(states[b, mask[b]]))
        targets.append(model.target_projection(quantized.values)[0])
        probabilities.append(quantized.probabilities[0])
        codes.append(quantized.codes[0])
    counts = [len(c) for c in contexts]
    own = torch.stack([torch.arange(max(counts)) * (torch.arange(max(counts)) < n) for n in counts])
    rows = draw_distractors(own, counts, batch.keys, same=9)
    others = [
        [targets[b][[r for r in rows[b, p].tolist() if not torch.equal(codes[b][r], codes[b][p])]] for p in range(counts[b])]
        for b in range(4)
    ]
    expected, accuracy = loop_loss(contexts, targets, others, 0.1)
    torch.testing.assert_close(losses.terms["contrastive"].sum, expected, rtol=1e-4, atol=1e-3)
    assert losses.scalars["accuracy"].item() == pytest.approx(accuracy)
    unused = sum(len(torch.cat(pair)) * loop_diversity(torch.cat(pair)) for pair in (probabilities[:2], probabilities[2:]))
    assert losses.terms["diversity"].sum.item() == pytest.approx(unused, rel=1e-4)
    assert losses.terms["diversity"].weight == 0.1
    energy = torch.cat([latents.energy[b, :n] for b, n in enumerate(frames)]).mean()
    penalty = losses.terms["feature_penalty"]
    torch.testing.assert_close(penalty.sum / penalty.count, energy)
    assert float(losses.terms["contrastive"].count) == float(losses.terms["diversity"].count) == sum(counts)


def test_masked_frames_are_not_encoded() -> None:
    model, batch = build().eval(), batch_of()
    latents = model.latents(model.clips(batch)[0]).values.detach().requires_grad_()
    mask = model.mask([latents.shape[1]] * 4, batch.keys)
    (gradient,) = torch.autograd.grad(model.encode(latents, mask, None)[-1].square().sum(), latents)
    assert gradient[mask].abs().max() == 0
    assert gradient[~mask].abs().amax(-1).min() > 0


@pytest.mark.parametrize(
    "ablation",
    [
        {"mask_overlap": False, "mask_spans": "uniform", "mask_length": 8, "mask_spread": 5.0, "mask_probability": 0.05},
        {"mask_spans": "poisson"},
        {"mask_spans": "normal", "mask_spread": 2.0},
        {"edge_steps": 1},
        {"quantized_targets": False},
        {"quantized_targets": False, "target_mlp": True},
        {"quantized_targets": False, "separate_encoders": True},
        {"kernels": (10, 3, 3, 3, 3, 3, 2)},
        {"diversity": 0.0},
        {"position_kernel": 32},
        {"quantizer_gradient": False},
        {"negative_count": 5, "batch_negative_count": 5},
        {"negatives": "any"},
        {"gumbel_noise": False},
        {"codebooks": 4, "codes": 18},
    ],
    ids="-".join,
)
def test_every_ablation_of_tables_5_and_13_trains(ablation: dict[str, Any]) -> None:
    model, batch = build(**ablation), batch_of()
    losses = model(batch, 0)
    losses.total().backward()
    assert losses.total().isfinite()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert still == []
    if "edge_steps" in ablation:
        assert float(losses.terms["contrastive"].count) < float(build()(batch, 0).terms["contrastive"].count)
    if "kernels" in ablation:
        assert model.receptive_field == 480  # 30 ms


def test_without_its_gradient_the_quantizer_does_not_train_the_convolutions() -> None:
    for gradient in (True, False):
        model = build(quantizer_gradient=gradient, feature_penalty=0.0)
        model(batch_of(), 0).terms["diversity"].sum.backward()
        taught = sum(float(p.grad.abs().sum()) for p in model.convolutions.parameters() if p.grad is not None)
        assert (taught > 0) is gradient


def test_temperature_falls_to_its_floor() -> None:
    model = build()
    assert model.temperature(0) == 2.0
    assert model.temperature(100_000) == pytest.approx(2 * 0.999995**100_000, rel=1e-4)
    assert model.temperature(300_000) == 0.5
    model.updates = 4_000  # what the training loop says it plans
    assert model.temperature(1_000) == pytest.approx(2 * 0.999995**100_000, rel=1e-4)
    assert model.temperature(3_000) == 0.5
    model.updates = None
    assert float(model(batch_of(), 1000).scalars["temperature"]) == pytest.approx(model.temperature(1000))


def test_loss_and_draws_belong_to_groups_of_utterances() -> None:
    """In training, with noise: what one device computes of a batch, two compute of its halves."""
    model, batch = build(dropout=0.0, attention_dropout=0.0, input_dropout=0.0, target_dropout=0.0, layer_drop=0.0), batch_of()
    whole = model(batch, 3)
    halves = [
        model(Batch(batch.ids[at], batch.waveforms[at], batch.lengths[at], keys=batch.keys[at]), 3) for at in (slice(0, 2), slice(2, 4))
    ]
    for name, term in whole.terms.items():
        torch.testing.assert_close(sum(half.terms[name].sum for half in halves), term.sum, rtol=1e-4, atol=1e-4)


def test_inspect_shows_mask_and_codes() -> None:
    model, batch = build().eval(), batch_of()
    shown = model.inspect(batch)
    frames = int(model.frame_count(batch.lengths, "L0")[0])
    assert shown["mask"].shape == (4, frames)
    assert shown["codes"].shape == (4, frames, 2)
    assert torch.equal(shown["code_probability"].argmax(-1), shown["codes"])


def test_code_use_is_counted() -> None:
    model = build().eval()
    with torch.no_grad():
        model.quantizer.projection.weight.zero_()
        model.quantizer.projection.bias.copy_(torch.arange(12.0))  # always the last of each book
    scalars = model(batch_of(), 0).scalars
    assert float(scalars["code_perplexity"]) == pytest.approx(1)
    assert float(scalars["code_use"]) == pytest.approx(1 / 6)


def test_what_cannot_be_learnt_from_is_said() -> None:
    model = build()
    with pytest.raises(UserError, match="too short for masked spans of 5"):
        model(batch_of(samples=1_500), 0)
    with pytest.raises(UserError, match="fewer than the 400"):
        model(batch_of(samples=399), 0)
    with pytest.raises(UserError, match="no keys"):
        model(dataclasses.replace(batch_of(), keys=None), 0)
    with pytest.raises(UserError, match="groups of 2"):
        build(batch_negative_count=3)(batch_of(3), 0)


@pytest.mark.parametrize(
    "name, millions, parameters",
    [
        ("wav2vec2-base", 95, 95_044_608),
        ("wav2vec2-large", 317, 317_390_592),
        ("xls-r-300m", 317, 317_390_592),
        ("xls-r-1b", 965, 965_514_752),
        ("xls-r-2b", 2162, 2_162_932_352),
    ],
)
def test_published_sizes(name: str, millions: int, parameters: int) -> None:
    """The millions stand in the papers; the exact numbers are those of transformers' Wav2Vec2ForPreTraining of that size."""
    with torch.device("meta"):
        model = read_recipe(name).build_model()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert parameters // 1_000_000 == millions


@pytest.mark.parametrize("name", ["wav2vec2-base", "wav2vec2-large", "wav2vec2-tiny"])
def test_recipes_let_the_temperature_fall_in_time(name: str) -> None:
    recipe = read_recipe(name)
    s: Wav2Vec2Settings = recipe.model_settings
    assert recipe.trainer.steps is not None
    assert 0.6 < s.temperature_share <= 1
    if name != "wav2vec2-tiny":
        falling = s.temperature_share * recipe.trainer.steps
        factor = math.exp(math.log(s.temperature_floor / s.temperature_start) / falling)
        assert factor == pytest.approx(0.999995, abs=1e-9)
