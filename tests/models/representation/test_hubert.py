"""HuBERT's loss as a loop over frames, what is counted, and labels that do not fit."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.models.representation.hubert import HuBERT, HuBERTSettings
from foresay.training.recipe import read_recipe

SMALL = HuBERTSettings(
    channels=8,
    size=16,
    layers=2,
    heads=2,
    inner=32,
    position_kernel=8,
    position_groups=2,
    target_size=6,
    classes=5,
    input_dropout=0.0,
    dropout=0.0,
    attention_dropout=0.0,
    layer_drop=0.0,
)


def model(**changes: object) -> HuBERT:
    torch.manual_seed(0)
    return HuBERT(dataclasses.replace(SMALL, **changes)).double()  # type: ignore[arg-type]


def batch(of: HuBERT, samples: int = 16_000) -> Batch:
    random = torch.Generator().manual_seed(1)
    waveforms = torch.randn(2, samples, generator=random, dtype=torch.float64)
    lengths = torch.full((2,), samples)
    frames = int(of.frame_count(lengths[:1], "L0")[0])
    labels = torch.randint(-1, 5, (2, frames), generator=random)
    return Batch(("a", "b"), waveforms, lengths, keys=torch.tensor([3, 4]), labels=labels)


@torch.no_grad()
@pytest.mark.parametrize("unmasked", [0.0, 0.3])
def test_the_loss_is_a_loop_over_frames(unmasked: float) -> None:
    hubert = model(unmasked=unmasked)
    inputs = batch(hubert)
    losses = hubert(inputs, 0)
    latents = hubert.latents(hubert.clips(inputs)[0])
    mask = hubert.mask([latents.values.shape[1]] * 2, inputs.keys)
    states = hubert.encode(latents.values, mask, None, kept=hubert.transformer.draw((0, 0)))[-1]
    sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for b in range(2):
        for t in range(mask.shape[1]):
            label = int(inputs.labels[b, t])
            if label >= 0:
                logits = F.cosine_similarity(hubert.final_projection(states[b, t])[None], hubert.label_vectors) / 0.1
                sums[bool(mask[b, t])] += float(torch.logsumexp(logits, 0) - logits[label])
                counts[bool(mask[b, t])] += 1
    assert float(losses.terms["prediction"].sum) == pytest.approx(sums[True])
    assert int(losses.terms["prediction"].count) == counts[True]
    assert ("unmasked" in losses.terms) == bool(unmasked)
    if unmasked:
        term = losses.terms["unmasked"]
        assert float(term.sum) == pytest.approx(sums[False])
        assert (int(term.count), term.weight) == (counts[False], 0.3)


def test_masked_frames_are_not_encoded() -> None:
    hubert = model().eval()
    latents = torch.randn(1, 40, 8, dtype=torch.float64)
    mask = torch.zeros(1, 40, dtype=torch.bool)
    mask[0, 10:20] = True
    other = latents.clone()
    other[0, 10:20] = torch.randn(10, 8, dtype=torch.float64)
    torch.testing.assert_close(hubert.encode(latents, mask, None)[-1], hubert.encode(other, mask, None)[-1])


def test_labels_that_do_not_fit_are_explained() -> None:
    hubert = model()
    inputs = batch(hubert)
    assert inputs.labels is not None
    for labels, message in (
        (None, "this batch has none"),
        (inputs.labels[:, 1:], "labels of 48 frames, where the model has 49"),
        (inputs.labels + 1, "a label is 5, but the model has 5 classes"),
    ):
        with pytest.raises(UserError, match=message):
            hubert(dataclasses.replace(inputs, labels=labels), 0)


@pytest.mark.parametrize("recipe, millions", [("hubert-base", 94.7), ("hubert-large", 316.6)])
def test_the_published_sizes(recipe: str, millions: float) -> None:
    settings = read_recipe(recipe).model_settings
    with torch.device("meta"):
        hubert = HuBERT(settings)
    own = sum(p.numel() for name, p in hubert.named_parameters() if not name.startswith(("final_projection", "label_vectors")))
    # SUPERB's table counts the pre-training heads too: 0.3 % for BASE.
    assert own / 1e6 == pytest.approx(millions, rel=0.005)
