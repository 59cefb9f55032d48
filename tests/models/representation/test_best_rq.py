"""BEST-RQ's loss as a loop over frames; what is predicted, and that it is not encoded; both encoders; books, sizes, and messages."""

import dataclasses
import warnings

import pytest
import torch

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation.best_rq import BestRQ, BestRQSettings
from foresay.training.recipe import read_recipe

SMALL = BestRQSettings(
    subsampling_channels=(4, 3),
    size=16,
    layers=2,
    heads=2,
    inner=16,
    dropout=0.0,
    attention_dropout=0.0,
    position_kernel=8,
    position_groups=2,
    mask_length=20,
    codes=12,
)


def best_rq(**changes: object) -> BestRQ:
    torch.manual_seed(0)
    return BestRQ(dataclasses.replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def batch() -> Batch:
    random = torch.Generator().manual_seed(1)
    waveforms = torch.randn(2, 24_000, generator=random)
    return Batch(("a", "b"), waveforms, torch.tensor([24_000, 24_000]), keys=torch.tensor([3, 4]))


@torch.no_grad()
@pytest.mark.parametrize("books, encoder", [(1, "conformer"), (3, "conformer"), (1, "transformer")])
def test_the_loss_is_a_loop_over_hidden_stacks(books: int, encoder: str) -> None:
    ours, inputs = best_rq(codebooks=books, encoder=encoder), batch()
    losses = ours(inputs, 1)
    given = ours.prepare(inputs, 1)
    assert given.clips.frames.tolist() == [37, 37]  # 150 frames of the spectrogram, of which two fill no stack
    energies, mask = ours._energies(given), given.mask
    latents = ours.subsampling(ours.with_noise(energies, given.noise), torch.tensor([148, 148]))
    states = ours.blocks(latents, None)[-1]
    total, count, right = 0.0, 0, 0
    for b in range(2):
        for t in range(37):
            if mask[b, 4 * t : 4 * t + 4].all():
                codes = ours.quantizer(torch.cat([energies[b, 4 * t + n] for n in range(4)])[None])[0]
                for book in range(books):
                    logits = (ours.heads.weight @ states[b, t] + ours.heads.bias)[book * 12 : (book + 1) * 12]
                    total += float(logits.logsumexp(0) - logits[codes[book]])
                    right += int(logits.argmax() == codes[book])
                count += 1
    assert count >= 10
    assert float(losses.terms["prediction"].sum) == pytest.approx(total / books, rel=1e-5)
    assert int(losses.terms["prediction"].count) == count
    assert float(losses.scalars["accuracy"]) == pytest.approx(right / count / books)
    assert set(losses.scalars) == {"accuracy", "code_use", "code_perplexity"}


def test_masked_frames_are_not_encoded() -> None:
    ours, inputs = best_rq(), batch()
    given = ours.prepare(inputs, 1)
    energies = ours._energies(given)
    states = ours._states(energies, given)
    other = torch.where(given.mask[..., None], torch.randn_like(energies), energies)
    assert torch.equal(ours._states(other, given), states)
    assert not torch.equal(ours._states(energies + 0.1, given), states)


def test_a_third_is_masked_as_published() -> None:
    settings = read_recipe("best-rq-large").model_settings
    assert (settings.mask_probability, settings.mask_length, settings.codes, settings.code_size) == (0.01, 40, 8192, 16)
    with torch.device("meta"):
        assert BestRQ(dataclasses.replace(settings, layers=1)).mask.share == pytest.approx(1 - 0.99**40)


@pytest.mark.parametrize("recipe, millions", [("best-rq-large", 608), ("best-rq-base", 94)])
def test_the_published_sizes(recipe: str, millions: float) -> None:
    with torch.device("meta"):
        model = BestRQ(read_recipe(recipe).model_settings)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def test_what_it_shows() -> None:
    ours = best_rq(codebooks=2)
    with torch.no_grad():
        shown = ours.inspect(batch())
    assert shown["mask"].shape == (2, 148)
    assert shown["codes"].shape == (2, 37, 2)
    assert shown["found"].shape == (2, 37)


@pytest.mark.parametrize("encoder", ["conformer", "transformer"])
def test_features_of_both_encoders_do_not_depend_on_batch_mates(encoder: str) -> None:
    ours, lengths = best_rq(encoder=encoder), torch.tensor([16_000, 5_123])
    waveforms = torch.randn(2, 16_000)
    with torch.no_grad():
        together, alone = ours.features(waveforms, lengths), ours.features(waveforms[1:, :5_123], lengths[1:])
    for layer in ("L0", "L1", "L2"):
        torch.testing.assert_close(together.values[layer][1, :8], alone.values[layer][0], atol=1e-4, rtol=0)


def test_a_causal_one_depends_on_the_past_of_its_spectrogram() -> None:
    ours = best_rq(causal=True)
    energies = torch.randn(1, 148, 80)
    other = energies.clone()
    other[:, 60:] = torch.randn(1, 88, 80)
    with torch.no_grad():
        first, second = (ours.blocks(ours.subsampling(e, torch.tensor([148])))[-1] for e in (energies, other))
    torch.testing.assert_close(first[:, :14], second[:, :14])  # frame 14 reaches up to the spectrogram's frame 60
    assert not torch.allclose(first[:, 14:], second[:, 14:])


def test_settings_that_do_not_fit_are_explained() -> None:
    with pytest.raises(UserError, match="may hide no stack of 4 frames"):
        best_rq(mask_length=11)
    with pytest.raises(UserError, match="attends in both directions"):
        best_rq(encoder="transformer", causal=True)
    with pytest.raises(UserError, match="two convolutions over 79 bands"):
        best_rq(bands=79)


def test_a_codebook_larger_than_what_is_asked_is_reported_and_not_fatal() -> None:
    ours = best_rq(codes=500)
    ours.updates = 3
    with pytest.warns(UserWarning, match="the codebook has 500 entries, and 3 updates of .* masked frames"):
        ours(batch(), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours(batch(), 1)  # reported once
        ours.updates = 100_000
        assert ours(batch(), 0).total().isfinite()
