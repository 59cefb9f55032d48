"""WavLM's distances against loops and against transformers, their gradients, and what they do to the loss."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from foresay.contracts import Batch
from foresay.loading import load
from foresay.models.representation.hubert import HuBERT, HuBERTSettings
from foresay.models.representation.wavlm import GatedRelativePositions, WavLM, WavLMSettings, distance_buckets
from foresay.training.recipe import read_recipe
from reference.tiny_checkpoints import network, write_folder

SMALL = {
    "channels": 8,
    "size": 16,
    "layers": 3,
    "heads": 2,
    "inner": 32,
    "position_kernel": 8,
    "position_groups": 2,
    "target_size": 6,
    "classes": 5,
    "input_dropout": 0.0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "layer_drop": 0.0,
}


def wavlm(**changes: object) -> WavLM:
    torch.manual_seed(0)
    return WavLM(WavLMSettings(**SMALL | {"buckets": 16, "farthest": 11} | changes))  # type: ignore[arg-type]


def batch() -> Batch:
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(-1, 5, (2, 49), generator=random)
    waveforms = torch.randn(2, 16_000, generator=random)
    return Batch(("a", "b"), waveforms, torch.full((2,), 16_000), keys=torch.tensor([3, 4]), labels=labels)


def bucket_by_hand(apart: int, buckets: int, farthest: int) -> int:
    """As the paper of T5 says it: side, then one by one, then by logarithms."""
    half = buckets // 2
    begin = half if apart > 0 else 0
    exact = half // 2
    if abs(apart) < exact:
        return begin + abs(apart)
    wide = exact + math.floor((half - exact) * math.log(abs(apart) / exact) / math.log(farthest / exact))
    return begin + min(wide, half - 1)


@pytest.mark.parametrize("buckets, farthest", [(320, 800), (16, 11), (32, 128), (4, 2)])
def test_buckets_are_those_of_a_loop(buckets: int, farthest: int) -> None:
    apart = torch.arange(-2_000, 2_001)
    found = distance_buckets(apart, buckets, farthest)
    expected = torch.tensor([bucket_by_hand(distance, buckets, farthest) for distance in apart.tolist()])
    # Where a bucket begins at a whole distance, single precision (as published) may put that one into the bucket before.
    assert (found != expected).sum() <= 2
    assert (found - expected).abs().max() <= 1
    assert set(found.tolist()) <= set(range(buckets))
    assert (found[apart > 0] - buckets // 2 == found[apart < 0].flip(0)).all()
    assert (found[apart >= 0][1:].diff() >= 0).all()


def test_golden_buckets_of_the_published_models() -> None:
    apart = torch.tensor([0, -1, -79, -80, -100, -400, -799, -3_000, 1, 79, 80, 100, 400, 799, 3_000])
    assert distance_buckets(apart, 320, 800).tolist() == [0, 1, 79, 80, 87, 135, 159, 159, 161, 239, 240, 247, 295, 319, 319]


@pytest.mark.parametrize("frames", [1, 2, 7, 30])
@torch.no_grad()
def test_the_bias_is_a_loop_over_frames(frames: int) -> None:
    torch.manual_seed(0)
    positions = GatedRelativePositions(size=12, layers=2, heads=3, buckets=8, farthest=6)
    for parameter in positions.parameters():
        parameter.add_(torch.randn_like(parameter))
    frames_in = torch.randn(2, frames, 12)
    for block in range(2):
        bias = positions(frames_in, block)
        assert bias.shape == (2, 3, frames, frames)
        for b in range(2):
            for h in range(3):
                for i in range(frames):
                    own = frames_in[b, i, 4 * h : 4 * h + 4]
                    features = positions.gate_weight[block] @ own + positions.gate_bias[block]
                    outer, inner = features[:4].sum().sigmoid(), features[4:].sum().sigmoid()
                    for j in range(frames):
                        d = positions.table[bucket_by_hand(j - i, 8, 6), h]
                        expected = d + (1 - outer) * d + outer * positions.gate_scale[block, h] * inner * d
                        torch.testing.assert_close(bias[b, h, i, j], expected, atol=1e-5, rtol=1e-5)


def test_impossible_buckets_are_explained() -> None:
    with pytest.raises(ValueError, match="10 buckets up to a distance of 800: give a multiple of 4"):
        wavlm(buckets=10, farthest=800)
    with pytest.raises(ValueError, match="320 buckets up to a distance of 80"):
        wavlm(buckets=320, farthest=80)


def test_every_gradient_of_the_distances_equals_transformers(tmp_path: Path) -> None:
    reference = network("WavLMModel", "large").double()
    model = load(f"hf:{write_folder(reference, tmp_path)}", feature_gradient=1.0).double()
    waveforms = 0.3 * torch.randn(2, 5_000, dtype=torch.float64)
    weights = torch.randn(2, 15, 32, dtype=torch.float64)
    (model.features(waveforms, torch.tensor([5_000, 5_000]), ["L3"]).values["L3"] * weights).sum().backward()
    (reference(waveforms).last_hidden_state * weights).sum().backward()
    attentions = [layer.attention for layer in reference.encoder.layers]
    ours = model.position_bias
    for found, expected in (
        (ours.table.grad, attentions[0].rel_attn_embed.weight.grad),
        (ours.gate_weight.grad, torch.stack([a.gru_rel_pos_linear.weight.grad for a in attentions])),
        (ours.gate_bias.grad, torch.stack([a.gru_rel_pos_linear.bias.grad for a in attentions])),
        (ours.gate_scale.grad, torch.stack([a.gru_rel_pos_const.grad.flatten() for a in attentions])),
    ):
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-6)


def test_without_distances_it_is_hubert() -> None:
    model, inputs = wavlm(), batch()
    assert model.position_bias is not None
    with torch.no_grad():
        model.position_bias.table.zero_()
    hubert = HuBERT(HuBERTSettings(**SMALL))
    hubert.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("position_bias")})
    ours, theirs = model(inputs, 0), hubert(inputs, 0)
    for name, term in theirs.terms.items():
        torch.testing.assert_close(ours.terms[name].sum, term.sum, rtol=1e-5, atol=1e-5)
        assert int(ours.terms[name].count) == int(term.count)


def test_a_block_left_out_leaves_no_parameter_without_a_gradient() -> None:
    """Or devices would wait for each other."""
    model = wavlm(layer_drop=0.5)
    steps = [step for step in range(20) if 0 < _kept(model, step) < 3]
    assert steps
    for step in steps:
        model.zero_grad()
        model(batch(), step).total().backward()
        assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def _kept(model: WavLM, step: int) -> int:
    """Count the blocks that a step computes."""
    calls: list[int] = []
    handle = model.position_bias.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr, operator]
    with torch.no_grad():
        model(batch(), step)
    handle.remove()
    return len(calls)


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpoint in (False, True):
        model = wavlm(checkpoint=checkpoint)
        model(batch(), 0).total().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("recipe, millions", [("wavlm-base", 94.70), ("wavlm-base-plus", 94.70), ("wavlm-large", 316.62)])
def test_the_published_sizes(recipe: str, millions: float) -> None:
    with torch.device("meta"):
        model = WavLM(read_recipe(recipe).model_settings)
    own = sum(p.numel() for name, p in model.named_parameters() if not name.startswith(("final_projection", "label_vectors")))
    # SUPERB's table counts the pre-training heads too: 0.3 % for BASE.
    assert own / 1e6 == pytest.approx(millions, rel=0.005)


def test_recipes_mix() -> None:
    for name in ("wavlm-base", "wavlm-base-plus", "wavlm-large", "wavlm-tiny"):
        recipe, bare = read_recipe(name), name.replace("wavlm", "hubert").replace("-plus", "")
        assert (recipe.model, recipe.data.mix, recipe.data.mix_noise) == ("wavlm", 0.2, 0.1)
        theirs = dataclasses.asdict(read_recipe(bare).model_settings)
        assert {**theirs, "buckets": 320, "farthest": 800} == dataclasses.asdict(recipe.model_settings)
