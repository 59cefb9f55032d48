"""What BEST-RQ and w2v-BERT share: each band normalized over an utterance's own frames, noise by keys, two convolutions, short clips."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation._masked_spectrogram import MaskedSpectrogram, Subsampling, normalized
from foresay.models.representation.best_rq import BestRQ, BestRQSettings
from foresay.models.representation.w2v_bert import W2vBERT, W2vBERTSettings

SMALL = {"subsampling_channels": (4, 3), "size": 16, "layers": 2, "heads": 2, "inner": 16, "dropout": 0.0, "attention_dropout": 0.0}
RQ = BestRQSettings(**SMALL, codes=12)  # type: ignore[arg-type]
BERT = W2vBERTSettings(**SMALL, contrastive_layers=1, codes=6, code_size=8, target_size=8)  # type: ignore[arg-type]


def rq(**changes: object) -> BestRQ:
    torch.manual_seed(0)
    return BestRQ(dataclasses.replace(RQ, **changes))  # type: ignore[arg-type]


@pytest.fixture(params=[BestRQ, W2vBERT])
def model(request: pytest.FixtureRequest) -> MaskedSpectrogram:
    torch.manual_seed(0)
    built: MaskedSpectrogram = request.param(RQ if request.param is BestRQ else BERT)
    return built.eval()


def batch(*samples: int) -> Batch:
    random = torch.Generator().manual_seed(1)
    waveforms = torch.randn(len(samples), max(samples), generator=random)
    names = tuple("abcdef"[: len(samples)])
    return Batch(names, waveforms, torch.tensor(samples), keys=torch.arange(3, 3 + len(samples)))


def test_each_band_is_normalized_over_the_time_of_its_utterance() -> None:
    random = torch.Generator().manual_seed(0)
    energies = torch.randn(3, 20, 4, generator=random, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1, 2.0]) + 7
    energies[2, :, 1] = -13.8  # a band in which there is nothing
    counts = torch.tensor([20, 8, 12])
    found = normalized(energies, counts)
    for b, count in enumerate(counts.tolist()):
        for band in range(4):
            own = energies[b, :count, band]
            mean = sum(own.tolist()) / count
            variance = sum((x - mean) ** 2 for x in own.tolist()) / count
            torch.testing.assert_close(found[b, :count, band], (own - mean) / math.sqrt(variance + 1e-5))
        assert not found[b, count:].any()
    assert not found[2, :, 1].abs().gt(1e-9).any()


def test_stacks_and_convolutions_see_the_same_time() -> None:
    torch.manual_seed(0)
    convolve = Subsampling(8, (4, 3), 5).double()
    energies = torch.randn(1, 24, 8, dtype=torch.float64, requires_grad=True)
    found = convolve(energies, torch.tensor([24]))
    assert found.shape == (1, 6, 5)
    (gradient,) = torch.autograd.grad(found[0, 3].square().sum(), energies)
    assert set(gradient[0].abs().sum(-1).nonzero().flatten().tolist()) <= set(range(4 * 3 - 2, 4 * 3 + 5))
    padded = F.pad(energies, (0, 0, 0, 4))  # a bias after the end is not encoded
    torch.testing.assert_close(convolve(padded, torch.tensor([24]))[:, :6], found)


def test_frames_that_fill_no_stack_are_not_encoded(model: MaskedSpectrogram) -> None:
    samples = 160 * 43  # ten stacks, and three frames
    waveforms = batch(samples).waveforms
    assert waveforms is not None
    with torch.no_grad():
        features = model.features(waveforms, torch.tensor([samples]))
        whole = model.features(waveforms[:, : 160 * 40 + 120], torch.tensor([160 * 40 + 120]), ["L2"])
    assert int(features.lengths["L0"][0]) == features.values["L2"].shape[1] == 10
    assert features.frame_rate["L1"] == 25.0
    torch.testing.assert_close(
        features.values["L2"][:, :9], whole.values["L2"][:, :9], atol=0.05, rtol=0
    )  # frame 39 depends on 199 samples more


def test_clips_shorter_than_a_stack_have_no_frames(model: MaskedSpectrogram) -> None:
    features = model.features(torch.zeros(2, 600), torch.tensor([600, 0]), ["L2"])
    assert features.values["L2"].shape == (2, 0, 16)
    some = model.features(torch.zeros(2, 6400), torch.tensor([6400, 600]))
    assert some.lengths["L0"].tolist() == [10, 0]
    assert all(bool(value.isfinite().all()) for value in some.values.values())
    with pytest.raises(UserError, match="has no layer 'L9'"):
        model.features(torch.zeros(1, 6400), torch.tensor([6400]), ["L9"])


def test_clips_too_short_to_mask_are_named(model: MaskedSpectrogram) -> None:
    with pytest.raises(UserError, match=r"b lasts 0\.30 s, 7 frames of 40 ms: too short for masked spans.*data.shortest"):
        model(batch(16_000, 4_800), 0)


def _with_noise(ours: MaskedSpectrogram, values: torch.Tensor, mask: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    return ours.with_noise(values, ours.draw_noise(mask, keys, values.shape[2], values.device))


def test_noise_belongs_to_the_utterance_and_masks_alone_are_filled() -> None:
    ours = rq(noise=0.1)
    values, keys = torch.full((2, 400, 80), 5.0), torch.tensor([8, 2**61])
    mask = torch.rand(2, 400, generator=torch.Generator().manual_seed(0)) < 0.4
    found = _with_noise(ours, values, mask, keys)
    assert torch.equal(found[~mask], values[~mask])
    noise = found[mask]  # 25,000 numbers: the mean is known to 0.0006, the deviation to 0.5 %
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.003)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)
    alone = _with_noise(ours, F.pad(values[1:], (0, 0, 0, 9)), F.pad(mask[1:], (0, 9)), keys[1:])
    assert torch.equal(alone[0, :400], found[1])
    assert not torch.equal(_with_noise(ours, values, mask, keys + 1), found)


def test_clips_of_unlike_length_are_trained_as_if_alone(model: MaskedSpectrogram) -> None:
    both = batch(24_000, 16_000)
    assert both.waveforms is not None
    assert both.lengths is not None
    assert both.keys is not None
    together = model(both, 1)
    alone = []
    for row, length in enumerate(both.lengths.tolist()):
        part = Batch(both.ids[row : row + 1], both.waveforms[row : row + 1, :length], both.lengths[row : row + 1], both.keys[row : row + 1])
        alone.append(model(part, 1))
    for name in {"prediction", "contrastive"} & set(together.terms):
        torch.testing.assert_close(sum(one.terms[name].sum for one in alone), together.terms[name].sum, rtol=1e-4, atol=0)
        assert sum(float(one.terms[name].count) for one in alone) == float(together.terms[name].count)


def test_in_half_precision_the_losses_are_nearly_the_same(model: MaskedSpectrogram) -> None:
    inputs = batch(24_000, 16_000)
    exact = model(inputs, 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = model(inputs, 1)
    assert rough.scalars["code_use"] == exact.scalars["code_use"]
    for name, term in exact.terms.items():
        assert float(rough.terms[name].sum) == pytest.approx(float(term.sum.detach()), rel=0.02)
