"""w2v-BERT's two losses as loops, from where in the stack they come, and what trains what."""

import dataclasses

import pytest
import torch

from foresay.contracts import Batch
from foresay.errors import UserError
from foresay.masking import masked_places
from foresay.models.representation.w2v_bert import W2vBERT, W2vBERTSettings
from foresay.objectives.masked_contrastive import draw_distractors
from foresay.training.recipe import read_recipe

SMALL = W2vBERTSettings(
    subsampling_channels=(4, 3),
    size=16,
    layers=3,
    contrastive_layers=1,
    heads=2,
    inner=16,
    dropout=0.0,
    attention_dropout=0.0,
    codes=5,
    code_size=8,
    target_size=8,
    negative_count=4,
    group=2,
)


def w2v_bert(**changes: object) -> W2vBERT:
    torch.manual_seed(0)
    return W2vBERT(dataclasses.replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def batch() -> Batch:
    waveforms = torch.randn(2, 24_000, generator=torch.Generator().manual_seed(1))
    return Batch(("a", "b"), waveforms, torch.tensor([24_000, 24_000]), keys=torch.tensor([3, 4]))


@torch.no_grad()
@pytest.mark.parametrize("books", [1, 2])
def test_the_losses_are_loops_over_hidden_frames(books: int) -> None:
    ours, inputs = w2v_bert(codebooks=books), batch()
    losses = ours(inputs, 7)
    given = ours.prepare(inputs, 7)
    latents, mask = ours._latents(given), given.mask
    states = ours.blocks(ours.with_noise(latents, given.noise), None)
    contrastive, prediction, count, correct, found = 0.0, 0.0, 0, 0, 0
    hidden = [mask[b].nonzero().flatten() for b in range(2)]
    own = torch.arange(len(hidden[0])).expand(2, -1)  # equally many, for utterances of equal length
    distractors = draw_distractors(own, [len(h) for h in hidden], inputs.keys, same=4)
    for b, places in enumerate(hidden):
        quantized = ours.quantizer(latents[b : b + 1, places], 1.0)
        targets = ours.target_projection(quantized.values[0])
        for m, t in enumerate(places):
            context = ours.context_projection(states[1][b, t])
            scores = torch.cosine_similarity(context[None], targets) / 0.1
            wrong = [scores[n] for n in distractors[b, m] if not torch.equal(quantized.codes[0, n], quantized.codes[0, m])]
            contrastive += float(torch.stack([scores[m], *wrong]).logsumexp(0) - scores[m])
            correct += bool(wrong) and all(bool(scores[m] > w) for w in wrong)
            for book in range(books):
                code = quantized.codes[0, m, book]
                logits = (ours.heads.weight @ states[3][b, t] + ours.heads.bias)[book * 5 : (book + 1) * 5]
                prediction += float(logits.logsumexp(0) - logits[code]) / books
                found += int(logits.argmax() == code)
            count += 1
    assert float(losses.terms["contrastive"].sum) == pytest.approx(contrastive, rel=1e-5)
    assert float(losses.terms["prediction"].sum) == pytest.approx(prediction, rel=1e-5)
    assert {float(term.count) for term in losses.terms.values()} == {float(count)}  # which accumulation needs
    assert float(losses.scalars["accuracy"]) == pytest.approx(correct / count)
    assert float(losses.scalars["accuracy_prediction"]) == pytest.approx(found / count / books)
    weights = {name: term.weight for name, term in losses.terms.items()}
    assert weights == {"contrastive": 1.0, "diversity": 0.1, "prediction": 1.0}
    assert {"code_use", "code_perplexity", "latent_std", "temperature"} <= set(losses.scalars)


def test_upper_blocks_learn_from_prediction_alone() -> None:
    ours, inputs = w2v_bert(), batch()
    losses = ours(inputs, 0)
    upper = [*ours.blocks.blocks[1:].parameters(), *ours.heads.parameters()]
    contrastive = torch.autograd.grad(losses.terms["contrastive"].sum, upper, retain_graph=True, allow_unused=True)
    assert all(gradient is None for gradient in contrastive)
    prediction = torch.autograd.grad(losses.terms["prediction"].sum, upper, retain_graph=True)
    assert all(bool(gradient.any()) for gradient in prediction)
    entries = torch.autograd.grad(losses.terms["prediction"].sum, [ours.quantizer.entries], allow_unused=True)
    assert entries == (None,)  # codes are labels: what predicts them cannot make them easier


def test_the_temperature_is_a_share_of_the_updates() -> None:
    published = w2v_bert()
    assert published.temperature(400_000) == pytest.approx(2 * 0.999995**400_000, rel=1e-4)
    published.updates = 1000
    assert published.temperature(0) == 2.0
    assert published.temperature(500) == pytest.approx(2 * 0.999995**200_000, rel=1e-4)
    assert published.temperature(10_000) == pytest.approx(0.1)


@pytest.mark.parametrize("layers, billions", [(24, 0.6), (42, 1.0)])
def test_the_published_sizes(layers: int, billions: float) -> None:
    settings = read_recipe("w2v-bert-xl").model_settings
    with torch.device("meta"):
        model = W2vBERT(dataclasses.replace(settings, layers=layers))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, rel=0.07)


def test_lower_blocks_that_are_not_fewer_are_explained() -> None:
    with pytest.raises(UserError, match="set model.contrastive_layers to a number from 1 to 2"):
        w2v_bert(contrastive_layers=3)


@torch.no_grad()
def test_diversity_is_that_of_the_codes_of_a_group() -> None:
    """Each of two utterances may have few codes, if both together have many."""
    ours, inputs = w2v_bert(codebooks=2), batch()
    at = masked_places(ours.mask([37, 37], inputs.keys))
    latents = ours._latents(ours.prepare(inputs, 7))
    probabilities = ours.quantizer(at.of(latents), 1.0).probabilities.flatten(0, 1)  # (2 M, G, V): equally many in both
    means = probabilities.mean(0)
    entropies = -(means * means.log()).sum(-1)
    expected = len(probabilities) * (1 - entropies.exp().sum() / (2 * 5))
    assert float(ours(inputs, 7).terms["diversity"].sum) == pytest.approx(float(expected), rel=1e-5)
