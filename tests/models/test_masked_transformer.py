"""The network of wav2vec 2.0 and its kin equals transformers' in every layer and gradient, and does not encode padding."""

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from foresay.contracts import Batch, Losses
from foresay.errors import UserError
from foresay.models.representation._masked_transformer import MaskedTransformer, MaskedTransformerSettings
from reference.wav2vec2_weights import TINY, by_our_names, hidden_states, take_weights, tiny_network

KINDS = list(itertools.product(("group", "layer"), (False, True), (False, True)))
NAMES = [f"{norm}-{'pre' if pre else 'post'}-{'bias' if bias else 'plain'}" for norm, pre, bias in KINDS]


class Listener(MaskedTransformer):
    """The network with no task."""

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise AssertionError(batch, step, phase)


def _model(**settings: str | float) -> Listener:
    return Listener(MaskedTransformerSettings(**(TINY | settings))).eval()


def _pair(kind: tuple[str, bool, bool], **settings: str | float) -> tuple[Listener, Any]:
    """Build our model and transformers' with the same weights."""
    pytest.importorskip("transformers")
    norm, pre_norm, bias = kind
    network = tiny_network(norm=norm, pre_norm=pre_norm, bias=bias)
    model = _model(norm=norm, pre_norm=pre_norm, convolution_bias=bias, **settings)
    take_weights(model, network)
    return model, network


def _batch(*lengths: int) -> Batch:
    own = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    waveforms = torch.randn(len(lengths), max(lengths)) * own
    return Batch(tuple(map(str, lengths)), waveforms, torch.tensor(lengths), keys=torch.arange(len(lengths)))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@torch.no_grad()
def test_every_layer_equals_transformers(kind: tuple[str, bool, bool]) -> None:
    model, network = _pair(kind)
    batch = _batch(6_000, 6_000)
    frames = model.features(batch.waveforms, batch.lengths)
    # Theirs in double precision: what both approximate.
    states = hidden_states(network.double(), batch.waveforms.double())
    assert len(states) == len(model.layer_names)
    for layer, state in zip(model.layer_names, states, strict=True):
        torch.testing.assert_close(frames.values[layer].double(), state, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@torch.no_grad()
def test_padded_as_published_every_layer_equals_transformers(kind: tuple[str, bool, bool]) -> None:
    model, network = _pair(kind, padding_in_norm=True)
    batch = _batch(6_000, 4_100, 2_000)
    frames = model.features(batch.waveforms, batch.lengths)
    attended = (torch.arange(6_000) < batch.lengths[:, None]).long()
    states = hidden_states(network.double(), batch.waveforms.double(), attended)
    for layer, state in zip(model.layer_names, states, strict=True):
        for row, count in enumerate(frames.lengths[layer].tolist()):
            torch.testing.assert_close(frames.values[layer][row, :count].double(), state[row, :count], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_gradient_equals_transformers(kind: tuple[str, bool, bool]) -> None:
    model, network = (net.double() for net in _pair(kind, feature_gradient=1.0))
    batch = dataclasses.replace(single := _batch(4_000, 4_000), waveforms=single.waveforms.double())
    asked = [torch.randn(2, 12, 32, dtype=torch.float64) for _ in range(4)]
    latents = model.latents(model.clips(batch)[0])
    for states in (model.encode(latents.values, None, latents.lengths), hidden_states(network, batch.waveforms.clone())):
        sum((state * weights).sum() for state, weights in zip(states, asked, strict=True)).backward()
    ours = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    theirs = by_our_names({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-8, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@torch.no_grad()
def test_a_clip_is_encoded_as_if_alone(kind: tuple[str, bool, bool], *, standardize: bool) -> None:
    norm, pre_norm, bias = kind
    model = _model(norm=norm, pre_norm=pre_norm, convolution_bias=bias, standardize=standardize)
    lengths = torch.tensor([6_000, 300, 5_700, 2_000, 399, 400, 5_699])
    waveforms = torch.randn(7, 6_500)  # noise beyond the ends
    together = model.features(waveforms, lengths)
    assert together.lengths["L0"].tolist() == [18, 0, 17, 6, 0, 1, 17]
    for row, length in enumerate(lengths.tolist()):
        alone = model.features(waveforms[row : row + 1, :length], lengths[row : row + 1])
        for layer in model.layer_names:
            count = int(alone.lengths[layer])
            torch.testing.assert_close(together.values[layer][row, :count], alone.values[layer][0], atol=1e-4, rtol=0)


def test_training_encodes_as_features_does() -> None:
    model = _model(standardize=True)
    for batch in (_batch(6_000, 6_000), _batch(6_000, 3_000, 4_500)):
        latents = model.latents(model.clips(batch)[0])
        states = model.encode(latents.values, None, latents.lengths)
        frames = model.features(batch.waveforms, batch.lengths)
        for layer, state in zip(model.layer_names, states, strict=True):
            for row, count in enumerate(frames.lengths[layer].tolist()):
                torch.testing.assert_close(state[row, :count], frames.values[layer][row, :count], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_standardized_waveform_may_be_of_any_loudness_and_offset() -> None:
    model = _model(standardize=True)
    batch = _batch(6_000, 4_000)
    frames = model.features(batch.waveforms, batch.lengths)
    louder = model.features(7 * batch.waveforms + 3, batch.lengths)
    clip = batch.waveforms[1, :4_000]
    by_hand = model.convolutions(((clip - clip.mean()) / clip.std(correction=0))[None])
    torch.testing.assert_close(model.latents(model.clips(batch)[0]).values[1, :12], model.latent_norm(by_hand)[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(louder.values["L3"][1, :12], frames.values["L3"][1, :12], atol=1e-4, rtol=0)
    assert model.features(torch.zeros(1, 4_000), torch.tensor([4_000])).values["L3"].isfinite().all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 0.0])
def test_the_convolutions_gradient_is_scaled(scale: float) -> None:
    gradients = []
    for chosen in (1.0, scale):
        torch.manual_seed(1)
        model = _model(feature_gradient=chosen)
        latents = model.latents(model.clips(_batch(4_000, 4_000))[0])
        (model.encode(latents.values, None, None)[-1].square().sum() + latents.penalty(10.0).sum).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    whole, scaled = gradients
    for name, gradient in whole.items():
        if gradient is None:
            assert scaled[name] is None
        elif not name.startswith("convolutions"):
            torch.testing.assert_close(scaled[name], gradient)
        elif scale:
            torch.testing.assert_close(scaled[name], scale * gradient)
        else:
            assert scaled[name] is None


def test_the_penalty_is_the_mean_square_before_the_norm() -> None:
    model = _model()
    for batch in (_batch(4_000, 4_000), _batch(4_000, 2_000)):
        latents = model.convolutions(batch.waveforms, batch.lengths)
        counts = model.frame_count(batch.lengths, "L0").tolist()
        term = model.latents(model.clips(batch)[0]).penalty(10.0)
        own = torch.cat([row[:count] for row, count in zip(latents, counts, strict=True)])
        assert (float(term.count), term.weight) == (sum(counts), 10.0)
        torch.testing.assert_close(term.sum / term.count, own.square().mean())


def test_masked_frames_are_not_encoded() -> None:
    model = _model()
    latents = torch.randn(2, 12, 16, requires_grad=True)
    mask = torch.rand(2, 12) < 0.5
    states = model.encode(latents, mask, None)
    (gradient,) = torch.autograd.grad(states[-1].square().sum(), latents, retain_graph=True)
    assert gradient[mask].eq(0).all()
    assert gradient[~mask].ne(0).any(-1).all()
    assert torch.autograd.grad(states[-1][mask].square().sum(), model.mask_vector)[0].ne(0).any()


@torch.no_grad()
def test_only_the_layers_asked_for_are_run() -> None:
    model = _model()
    batch = _batch(4_000, 3_000)
    every = model.features(batch.waveforms, batch.lengths)
    ran: list[int] = []
    for number, block in enumerate(model.transformer.blocks, start=1):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    some = model.features(batch.waveforms[:1], batch.lengths[:1], ("L2", "L0"))
    assert list(some.values) == ["L2", "L0"]
    assert ran == [1, 2]
    for layer, values in some.values.items():
        torch.testing.assert_close(values, every.values[layer][:1], atol=1e-5, rtol=0)
    assert some.frame_rate == {"L2": 50.0, "L0": 50.0}


def test_a_position_bias_reaches_every_block() -> None:
    calls: list[tuple[tuple[int, ...], int]] = []

    def ahead_is_dark(frames: Tensor, number: int) -> Tensor:
        calls.append((tuple(frames.shape), number))
        return torch.full((1, 2, 12, 12), -torch.inf).triu(1)

    model = Listener(MaskedTransformerSettings(**TINY), ahead_is_dark).eval()
    states = model.encode(latents := torch.randn(2, 12, 16), None, None)
    assert calls == [((2, 12, 32), number) for number in range(3)]
    without = _model()
    without.load_state_dict(model.state_dict())
    assert not torch.allclose(states[-1], without.encode(latents, None, None)[-1])


def test_what_cannot_be_encoded_is_explained() -> None:
    model = _model()
    with pytest.raises(UserError, match="399 has 399 samples, fewer than the 400"):
        model.latents(model.clips(_batch(4_000, 399))[0])
    with pytest.raises(UserError, match="no layer \"?'?3"):
        model.features(torch.randn(1, 4_000), torch.tensor([4_000]), ("3",))
    nothing = model.features(torch.randn(2, 300), torch.tensor([300, 0]))
    assert nothing.values["L3"].shape == (2, 0, 32)
