"""One battery for every model of speech, found by listing the files of `models/`: what each of them promises."""

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from foresay.building import build
from foresay.contracts import Batch, SpeechModel
from foresay.loading import load
from foresay.models.representation._encoder_and_context import CausalModel
from foresay.runs import DESCRIPTION, WEIGHTS
from foresay.settings import find_class, settings_class, to_table, write_toml
from foresay.training.devices import Process
from foresay.training.tally import Tally
from reference.listed import models_of

SCALED_DOWN = {
    "channels": 32,
    "context_size": 32,
    "context_layers": 1,
    "predictions": 3,
    "matched": 5,
    "negative_count": 16,
    "negative_group": 4,
    "classes": 8,
    "size": 32,
    "layers": 2,
    "contrastive_layers": 1,
    "heads": 4,
    "inner": 64,
    "target_size": 16,
    "position_kernel": 16,
}
"""Whatever of these a model has is made small."""
SECONDS = 0.64


@pytest.fixture(params=models_of(SpeechModel))
def model(request: pytest.FixtureRequest) -> SpeechModel:
    torch.manual_seed(0)
    cls = find_class("foresay.models", request.param, SpeechModel)
    settings = settings_class(cls)()
    known = {f.name for f in dataclasses.fields(settings)}
    built: SpeechModel = cls(dataclasses.replace(settings, **{k: v for k, v in SCALED_DOWN.items() if k in known}))
    return built


def _batch(model: SpeechModel, size: int = 4) -> Batch:
    samples = round(SECONDS * model.sample_rate)
    time = torch.arange(samples) / model.sample_rate
    pitches = 100 * torch.arange(1, size + 1)[:, None] * (1 + 0.3 * torch.sin(2 * torch.pi * 3 * time))
    waveforms = 0.3 * torch.sin(2 * torch.pi * pitches.cumsum(1) / model.sample_rate) + 0.05 * torch.randn(size, samples)
    lengths = torch.full((size,), samples)
    frames = int(model.frame_count(lengths[:1], model.layer_names[-1])[0])
    labels = (torch.arange(frames) // 5 + torch.arange(size)[:, None]) % SCALED_DOWN["classes"]
    images = torch.rand(size, 3, 64, 64) if "image" in model.modalities else None
    return Batch(tuple(map(str, range(size))), waveforms, lengths, keys=torch.arange(size), labels=labels, images=images)


def _part(batch: Batch, at: slice) -> Batch:
    assert batch.waveforms is not None
    assert batch.lengths is not None
    assert batch.keys is not None
    assert batch.labels is not None
    images = None if batch.images is None else batch.images[at]
    return Batch(batch.ids[at], batch.waveforms[at], batch.lengths[at], keys=batch.keys[at], labels=batch.labels[at], images=images)


def _loss(model: SpeechModel, batch: Batch, step: int = 0) -> Tensor:
    return model(batch, step).total()


def test_loss_is_finite_and_falls_on_one_batch(model: SpeechModel) -> None:
    batch = _batch(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    first = last = _loss(model.eval(), batch).item()
    for step in range(20):
        optimizer.zero_grad()
        _loss(model.train(), batch, step).backward()
        optimizer.step()
        if step % 5 == 4 and (last := _loss(model.eval(), batch).item()) < 0.95 * first:
            break
    assert last < 0.95 * first


def test_every_parameter_is_trained(model: SpeechModel) -> None:
    _loss(model, _batch(model)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_equal_keys_give_an_equal_loss(model: SpeechModel) -> None:
    batch = _batch(model)
    model.eval()
    assert _loss(model, batch) == _loss(model, batch)


def test_counts_are_known_beforehand(model: SpeechModel) -> None:
    """What micro-batches are weighed by, in training, is what the loss then counts."""
    batch = _batch(model)
    counts = model.train().counts(batch, 0)
    assert model.training
    assert {name: float(count) for name, count in counts.items()} == {n: float(t.count) for n, t in model(batch, 0).terms.items()}


def test_halves_of_a_batch_give_the_gradient_of_the_whole(model: SpeechModel) -> None:
    batch = _batch(model, size=2 * model.group)
    model.eval()  # dropout off
    half = model.group
    assert batch.labels is not None
    batch.labels[:half, ::2] = -1  # of one half fewer frames count
    whole = model(batch, 0)
    parts = [model(_part(batch, at), 0) for at in (slice(half), slice(half, None))]
    for name, term in whole.terms.items():
        assert float(sum(p.terms[name].count for p in parts)) == float(term.count)
        torch.testing.assert_close(sum(p.terms[name].sum for p in parts), term.sum, rtol=1e-5, atol=1e-4)
    tally = Tally(Process(torch.device("cpu")))
    for part in parts:
        tally.add(part)
    for name, accuracy in tally.together().scalars.items():
        if "accuracy" in name:
            assert float(accuracy) == pytest.approx(float(whole.scalars[name]), abs=1e-6), name


def test_features_do_not_depend_on_batch_mates_or_padding(model: SpeechModel) -> None:
    model.eval()
    lengths = torch.tensor([9000, 5123, 16_000])
    waveforms = torch.randn(3, 16_000)  # what lies beyond the length is not silence: it must not be encoded
    with torch.no_grad():
        together = model.features(waveforms, lengths)
        for i, length in enumerate(lengths.tolist()):
            alone = model.features(waveforms[i : i + 1, :length], lengths[i : i + 1])
            for layer in model.layer_names:
                count = int(model.frame_count(lengths[i : i + 1], layer))
                assert alone.values[layer].shape[1] == count == int(together.lengths[layer][i])
                torch.testing.assert_close(together.values[layer][i, :count], alone.values[layer][0], atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_clip_too_short_for_a_frame_has_none_and_harms_no_other(model: SpeechModel) -> None:
    model.eval()
    lengths = torch.tensor([1, 2_000, 0, 100, 401])
    waveforms = 0.3 * torch.randn(len(lengths), 2_000) * (torch.arange(2_000) < lengths[:, None])
    together = model.features(waveforms, lengths)
    for layer in model.layer_names:
        counts = model.frame_count(lengths, layer)
        assert together.lengths[layer].tolist() == counts.tolist()
        assert counts[0] == counts[2] == 0
        for row, count in enumerate(counts.tolist()):
            alone = model.features(waveforms[row : row + 1, : int(lengths[row])], lengths[row : row + 1], [layer])
            assert alone.lengths[layer].tolist() == [count]
            torch.testing.assert_close(together.values[layer][row, :count], alone.values[layer][0, :count], atol=1e-4, rtol=1e-4)


def test_frames_are_where_the_model_says(model: SpeechModel) -> None:
    model.eval()
    waveforms = torch.randn(1, 16_000, requires_grad=True)
    frames = model.features(waveforms, torch.tensor([16_000]))
    first = model.layer_names[0]
    hop = model.sample_rate / frames.frame_rate[first]
    (gradient,) = torch.autograd.grad(frames.values[first][0, 20].square().sum(), waveforms)
    middle = model.first_center + 20 * hop
    seen = gradient[0].nonzero().flatten()
    if len(seen) < gradient.shape[1]:
        assert int(seen.max() - seen.min()) + 1 == model.receptive_field
        assert abs((int(seen.max()) + int(seen.min())) / 2 - middle) <= 1
    else:  # every frame depends on the whole utterance through a norm or an attention, but hardly
        times = torch.arange(gradient.shape[1])
        inside = (times - middle).abs() <= model.receptive_field / 2
        energy = gradient[0].square()
        assert energy[inside].sum() > 0.9 * energy.sum()
        assert abs(float((times * energy)[inside].sum() / energy[inside].sum()) - middle) < model.receptive_field / 4


def test_a_clip_that_is_a_hop_longer_has_a_frame_more(model: SpeechModel) -> None:
    """What parts of a recording stand on: `encoding/parts.py`."""
    lengths = torch.arange(9000, 12_000, 7)
    for layer in model.layer_names:
        frames = model.features(torch.zeros(1, 9000), torch.tensor([9000]), [layer])
        assert model.hop(layer) == model.sample_rate / frames.frame_rate[layer]
        for more in (1, 5):
            longer = model.frame_count(lengths + more * model.hop(layer), layer)
            assert longer.tolist() == (model.frame_count(lengths, layer) + more).tolist()


def test_a_stream_gives_the_frames_of_the_whole(model: SpeechModel) -> None:
    model.eval()
    if not isinstance(model, CausalModel):
        with pytest.raises(TypeError, match="cannot stream"):
            model.stream()
        return
    waveforms = torch.randn(2, 7_777)
    with torch.no_grad():
        whole = model.features(waveforms, torch.tensor([7_777, 7_777]))
        for sizes in ([7_777], [1, 100, 464, 465, 3000, 3747], [160] * 48 + [97]):
            stream = model.stream()
            pieces = [stream.push(chunk) for chunk in waveforms.split(sizes, dim=1)] + [stream.finish()]
            for layer in model.layer_names:
                joined = torch.cat([frames.values[layer] for frames in pieces], dim=1)
                torch.testing.assert_close(joined, whole.values[layer], atol=1e-4, rtol=0)
                assert sum(int(frames.lengths[layer][0]) for frames in pieces) == joined.shape[1]


def test_saved_and_loaded_it_is_the_same(model: SpeechModel, tmp_path: Path) -> None:
    name = type(model).__module__.rpartition(".")[2]
    safetensors.torch.save_file(model.state_dict(), tmp_path / WEIGHTS)
    (tmp_path / DESCRIPTION).write_text(write_toml({"model": {"name": name, **to_table(model.settings)}}))
    loaded = load(tmp_path)
    assert not loaded.training
    batch = _batch(model)
    assert _loss(loaded, batch) == _loss(model.eval(), batch)
    assert build({"name": name, **to_table(model.settings)}).settings == model.settings


def test_what_it_shows_is_finite_and_by_utterance(model: SpeechModel) -> None:
    model.eval()
    with torch.no_grad():
        shown = model.inspect(_batch(model))
    for value in shown.values():
        assert value.shape[0] == 4
        assert value.isfinite().all()


def test_codes_are_those_it_shows_and_do_not_depend_on_batch_mates_or_padding(model: SpeechModel) -> None:
    model.eval()
    lengths = torch.tensor([9000, 5123, 16_000])
    waveforms = torch.randn(3, 16_000)
    if not model.codebooks:
        with pytest.raises(TypeError, match="has no quantizer of its own"):
            model.codes(waveforms, lengths)
        return
    batch = _batch(model)
    assert batch.waveforms is not None
    assert batch.lengths is not None
    with torch.no_grad():
        assert torch.equal(model.codes(batch.waveforms, batch.lengths), model.inspect(batch)["codes"])
        together = model.codes(waveforms, lengths)
        for i, length in enumerate(lengths.tolist()):
            alone = model.codes(waveforms[i : i + 1, :length], lengths[i : i + 1])
            count = int(model.frame_count(lengths[i : i + 1], model.layer_names[0]))
            assert alone.shape == (1, count, model.codebooks)
            same = (together[i, :count] == alone[0]).all(-1).float().mean()
            assert same > 0.97  # rounding may choose the other one of two that are about as near
