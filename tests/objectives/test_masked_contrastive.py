"""Masked contrastive loss against loops and against transformers; what distractors are; diversity by its equation."""

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.objectives.masked_contrastive import Pool, diversity_loss, draw_distractors, masked_contrastive_loss
from reference.masked_contrastive_loops import loop_diversity, loop_loss

COUNTS = (5, 3, 6, 4)
MOST, SIZE = max(COUNTS), 8
KEYS = torch.arange(10, 10 + len(COUNTS))
REAL = torch.arange(MOST) < torch.tensor(COUNTS)[:, None]
OWN = torch.arange(MOST).expand(len(COUNTS), -1) * REAL


def case(codes: int | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return contexts and targets (B, M, D), equal where codes (B, M) are."""
    random = torch.Generator().manual_seed(0)
    contexts = torch.randn(len(COUNTS), MOST, SIZE, generator=random, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(len(COUNTS), MOST, SIZE, generator=random, dtype=torch.float64)
    if codes is None:
        return contexts, targets.requires_grad_(), None
    identities = torch.randint(codes, (len(COUNTS), MOST), generator=random)
    book = torch.randn(codes, SIZE, generator=random, dtype=torch.float64)
    return contexts, book[identities].requires_grad_(), identities


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("codes", [None, 3])
def test_loss_accuracy_and_gradient_equal_loops(group: int, codes: int | None) -> None:
    contexts, targets, identities = case(codes)
    rows = draw_distractors(OWN, COUNTS, KEYS, same=7, others=3 * (group > 1), group=group)
    first = torch.arange(len(COUNTS))[:, None] % group * MOST
    pool = Pool(targets.view(-1, group * MOST, SIZE), None if identities is None else identities.view(-1, group * MOST))
    mine = masked_contrastive_loss(contexts, pool, OWN + first, rows, REAL, 0.1)

    def others(b: int, p: int) -> Tensor:
        choice = rows[b, p] + b // group * group * MOST
        if identities is not None:
            choice = choice[identities.flatten()[choice] != identities[b, p]]
        return targets.view(-1, SIZE)[choice]

    loss, accuracy = loop_loss(
        [contexts[b, :n] for b, n in enumerate(COUNTS)],
        [targets[b, :n] for b, n in enumerate(COUNTS)],
        [[others(b, p) for p in range(n)] for b, n in enumerate(COUNTS)],
        0.1,
    )
    assert mine.term.count == sum(COUNTS)
    torch.testing.assert_close(mine.term.sum, loss)
    assert mine.accuracy.item() == pytest.approx(accuracy)
    inputs = (contexts, targets)
    for a, b in zip(torch.autograd.grad(mine.term.sum, inputs), torch.autograd.grad(loss, inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_scores_equal_those_of_transformers() -> None:
    """Their logits gather every distractor, and take equal vectors for equal codes."""
    modeling = pytest.importorskip("transformers.models.wav2vec2.modeling_wav2vec2")
    contexts, targets, identities = case(3)
    contexts, targets = contexts[:1, :5].float(), targets[:1, :5].float()
    assert identities is not None
    own = torch.arange(5)[None]
    rows = draw_distractors(own, (5,), KEYS[:1], same=20)
    mine = masked_contrastive_loss(contexts, Pool(targets, identities[:1, :5]), own, rows, torch.ones(1, 5, dtype=torch.bool), 0.1)
    negatives = targets[0][rows[0]].transpose(0, 1)[:, None]  # (N, 1, P, D)
    logits = modeling.Wav2Vec2ForPreTraining.compute_contrastive_logits(targets[None], negatives, contexts, 0.1)
    logits[1:] = logits[1:].masked_fill((targets == negatives).all(-1), -torch.inf)
    theirs = torch.nn.functional.cross_entropy(logits.view(21, 5).T, torch.zeros(5, dtype=torch.long), reduction="sum")
    torch.testing.assert_close(mine.term.sum, theirs)


def test_distractors_are_other_real_targets_each_as_likely() -> None:
    rows = draw_distractors(OWN, COUNTS, KEYS, same=4000, others=4000, group=2)
    for b, count in enumerate(COUNTS):
        first = b % 2 * MOST
        for p in range(count):
            same = (rows[b, p, :4000] - first).bincount(minlength=count)
            assert len(same) == count
            assert same[p] == 0
            expected = 4000 / (count - 1)
            assert (same[torch.arange(count) != p] - expected).abs().max() < 5 * expected**0.5
            partner = b - 1 if b % 2 else b + 1
            anyone = rows[b, p, 4000:].bincount(minlength=2 * MOST)
            real = REAL[[min(b, partner), max(b, partner)]].flatten().clone()
            real[first + p] = False
            assert not anyone[~real].any()
            expected = 4000 / (count + COUNTS[partner] - 1)
            assert (anyone[real] - expected).abs().max() < 5 * expected**0.5


def test_distractors_belong_to_the_utterance() -> None:
    together = draw_distractors(OWN, COUNTS, KEYS, same=9)
    for b, count in enumerate(COUNTS):
        alone = draw_distractors(OWN[b : b + 1, :count], (count,), KEYS[b : b + 1], same=9)
        assert torch.equal(alone[0], together[b, :count])
    assert not torch.equal(draw_distractors(OWN, COUNTS, KEYS + 50, same=9), together)


def test_where_all_bear_one_code_there_is_nothing_to_learn() -> None:
    contexts, targets, _ = case(1)
    rows = draw_distractors(OWN, COUNTS, KEYS, same=9)
    found = masked_contrastive_loss(contexts, Pool(targets, torch.zeros(len(COUNTS), MOST, dtype=torch.long)), OWN, rows, REAL, 0.1)
    assert found.term.sum == 0
    assert found.accuracy == 0
    assert torch.autograd.grad(found.term.sum, contexts)[0].abs().max() == 0


def test_scores_are_computed_in_single_precision() -> None:
    contexts, targets, _ = case(None)
    contexts, targets = contexts.float(), targets.float()
    rows = draw_distractors(OWN, COUNTS, KEYS, same=9)
    plain = masked_contrastive_loss(contexts, Pool(targets, None), OWN, rows, REAL, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(masked_contrastive_loss(contexts, Pool(targets, None), OWN, rows, REAL, 0.1).term.sum, plain.term.sum)


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(UserError, match="has no distractors"):
        draw_distractors(OWN[:, :1], (1, 1, 1, 1), KEYS, same=3)
    with pytest.raises(UserError, match="groups of 3"):
        draw_distractors(OWN, COUNTS, KEYS, same=3, others=3, group=3)
    with pytest.raises(UserError, match="no keys"):
        draw_distractors(OWN, COUNTS, None, same=3)


def test_diversity_by_its_equation_group_by_group() -> None:
    probabilities = torch.randn(4, MOST, 2, 5, dtype=torch.float64).mul(3).softmax(-1)
    for group in (1, 2, 3, 4):
        expected = 0.0
        for start in range(0, 4, group):
            members = torch.cat([probabilities[b, : COUNTS[b]] for b in range(start, min(start + group, 4))])
            expected += len(members) * loop_diversity(members)
        term = diversity_loss(probabilities, REAL, group, 0.1)
        assert float(term.sum) == pytest.approx(expected)
        assert term.count == sum(COUNTS)


def test_diversity_is_zero_for_all_codes_alike_and_largest_for_one() -> None:
    even = torch.full((2, 3, 2, 5), 0.2)
    one = torch.zeros(2, 3, 2, 5)
    one[..., 1] = 1
    real = torch.ones(2, 3, dtype=torch.bool)
    assert float(diversity_loss(even, real, 2, 0.1).sum) == pytest.approx(0, abs=1e-5)
    assert float(diversity_loss(one, real, 2, 0.1).sum) == pytest.approx(6 * (1 - 1 / 5))
