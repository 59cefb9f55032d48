"""wav2vec's loss, as loops say it; and that it is the released network's size."""

import pytest
import torch
import torch.nn.functional as F

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation.wav2vec import Wav2vec, Wav2vecSettings


def small(**changes: object) -> Wav2vec:
    torch.manual_seed(0)
    settings = Wav2vecSettings(channels=6, context_size=5, context_kernels=(2, 3), predictions=4, negative_count=3)
    return Wav2vec(Wav2vecSettings(**{**settings.__dict__, **changes})).double().eval()


def batch(size: int, samples: int = 3000) -> Batch:
    random = torch.Generator().manual_seed(1)
    waveforms = torch.randn(size, samples, generator=random, dtype=torch.float64)
    return Batch(tuple(map(str, range(size))), waveforms, torch.full((size,), samples), keys=torch.arange(size) + 50)


def test_the_loss_is_a_loop_over_predictions() -> None:
    model, inputs = small(), batch(2)
    losses = model(inputs, 0)
    latents = model.encoder(inputs.waveforms)
    contexts = model.context(latents)
    predictions = model.heads(contexts).unflatten(-1, (4, 6))
    frames = latents.shape[1]
    rows = model.negatives.drawn(frames, inputs.keys, frames - 1, 1).rows  # of z_1, z_2, …
    total, count, right = torch.tensor(0.0, dtype=torch.float64), 0, 0
    for b in range(2):
        for t in range(frames):
            for k in range(4):
                target = t + 3 + k
                if target >= frames:
                    continue
                prediction = predictions[b, t, k]
                positive = prediction @ latents[b, target]
                negatives = torch.stack([prediction @ latents[b, row] for row in rows[b, target - 1].tolist()])
                assert target not in rows[b, target - 1].tolist()
                total += -F.logsigmoid(positive) - F.logsigmoid(-negatives).sum()
                count += 1
                right += int((positive > negatives).all())
    torch.testing.assert_close(losses.terms["contrastive"].sum, total)
    assert losses.terms["contrastive"].count == count
    torch.testing.assert_close(losses.scalars["accuracy"].double(), torch.tensor(right / count, dtype=torch.float64), rtol=1e-6, atol=0)


def test_negatives_of_a_group_are_found_in_its_own_pool() -> None:
    whole = small(negatives="reference", negative_group=2)(batch(4), 0).terms["contrastive"]
    first, second = (
        small(negatives="reference", negative_group=2)(
            Batch(b.ids[at], b.waveforms[at], b.lengths[at], keys=b.keys[at]),
            0,  # type: ignore[index]
        ).terms["contrastive"]
        for b in [batch(4)]
        for at in (slice(2), slice(2, None))
    )
    torch.testing.assert_close(whole.sum, first.sum + second.sum)


def test_no_prediction_shares_a_sample_with_what_it_is_made_from() -> None:
    model = Wav2vec(Wav2vecSettings(channels=4, context_size=4, context_kernels=(2,)))
    assert model.settings.offset * model.encoder.downsampling >= model.encoder.receptive_field
    assert (model.settings.offset - 1) * model.encoder.downsampling < model.encoder.receptive_field


def test_the_released_size() -> None:
    with torch.device("meta"):
        model = Wav2vec(Wav2vecSettings())
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == 32.5  # SUPERB, Table 1


def test_vq_wav2vec_predicts_codes_from_codes() -> None:
    model, inputs = small(codebooks=2, codes=5, diversity=0.3, negative_group=2).train(), batch(2)
    losses = model(inputs, 7)
    latents = model.encoder(inputs.waveforms)
    quantized = model.quantizer(latents, model.temperature(7), model.quantizer.draw(latents.shape[1], inputs.keys))
    plain = small(negative_group=2)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("quantizer")})
    plain.encoder.forward = lambda waveforms: quantized.values  # type: ignore[method-assign] # noqa: ARG005
    torch.testing.assert_close(losses.terms["contrastive"].sum, plain(inputs, 7).terms["contrastive"].sum)
    means = quantized.probabilities.mean(dim=(0, 1))  # (G, V)
    unused = 1 - torch.exp(-(means * means.log()).sum(-1)).mean() / 5
    torch.testing.assert_close(losses.terms["diversity"].sum / losses.terms["diversity"].count, unused)
    assert losses.terms["diversity"].weight == 0.3


def test_vq_wav2vec_gives_its_codes() -> None:
    model, inputs = small(codebooks=2, codes=5), batch(2)
    frames = model.features(inputs.waveforms, inputs.lengths)
    codes = model.inspect(inputs)["codes"]
    assert model.layer_names == tuple(frames.values) == ("z", "q", "c")
    assert torch.equal(frames.values["q"], model.quantizer.entries[0][codes].flatten(2))
    assert torch.equal(model.codes(inputs.waveforms, inputs.lengths), codes)
    assert model.codebooks == 2
    with pytest.raises(TypeError, match="has no quantizer"):
        small().codes(inputs.waveforms, inputs.lengths)
    torch.testing.assert_close(frames.values["c"], model.context(frames.values["q"], frames.lengths["c"]))


def test_the_temperature_of_vq_wav2vec_is_the_released_one() -> None:
    model = small(codebooks=2)
    assert model.temperature(0) == 2.0
    torch.testing.assert_close(model.temperature(100_000), 2 * 0.999995**100_000, rtol=1e-4, atol=0)
    assert model.temperature(400_000) == 0.5


def test_a_clip_that_is_too_short_has_no_frames() -> None:
    """And it says so: alone, and beside a longer one."""
    model = small(codebooks=2, codes=5)
    alone = model.features(torch.zeros(1, 420, dtype=torch.float64), torch.tensor([420]))
    beside = model.features(torch.zeros(2, 2000, dtype=torch.float64), torch.tensor([2000, 420]))
    assert [alone.lengths[layer].tolist() for layer in model.layer_names] == [[0]] * 3
    assert beside.lengths["c"].tolist() == [10, 0]
    with pytest.raises(UserError, match="this audio is too short to train on"):
        model(batch(2, samples=400), 0)
