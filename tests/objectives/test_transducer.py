"""Transducer loss, its gradient and posteriors against every alignment and against two plain loops."""

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.objectives.transducer import arc_posteriors, transducer_loss
from reference.transducer_loops import double_loop, shares, text_score

TEXTS = [(1, 2, 1), (2, 2), (), (1,), (2, 1, 1)]
FRAMES = [4, 3, 2, 1, 2]
V = 3


def drawn(seed: int, *shape: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits (5, 4, 4, 3), labels padded with a symbol, frames, counts."""
    counts = torch.tensor([len(text) for text in TEXTS])
    labels = torch.full((5, 3), 2)
    for row, text in zip(labels, TEXTS, strict=True):
        row[: len(text)] = torch.tensor(text, dtype=torch.int64)
    return drawn(0, 5, 4, 4, V), labels, torch.tensor(FRAMES), counts


def own(scores: Tensor, b: int) -> list[list[list[float]]]:
    """Rows of one utterance's lattice."""
    rows: list[list[list[float]]] = scores[b, : FRAMES[b], : len(TEXTS[b]) + 1].tolist()
    return rows


def test_loss_is_the_sum_over_all_alignments(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, labels, frames, counts = batch
    scores = logits.log_softmax(-1)
    expected = torch.tensor([-text_score(own(scores, b), text) for b, text in enumerate(TEXTS)], dtype=torch.float64)
    torch.testing.assert_close(transducer_loss(logits, labels, frames, counts), expected, rtol=0, atol=1e-12)
    half = transducer_loss(logits.bfloat16(), labels, frames, counts)
    assert half.dtype == torch.float32  # of half precision, only the logits are
    torch.testing.assert_close(half, transducer_loss(logits.bfloat16().double(), labels, frames, counts).float(), rtol=1e-5, atol=1e-5)


def test_loss_and_gradient_are_those_of_two_loops() -> None:
    logits, labels = drawn(1, 2, 12, 6, 5).requires_grad_(), torch.tensor([[1, 4, 4, 2, 3], [3, 2, 4, 0, 0]])
    frames, counts = torch.tensor([12, 9]), torch.tensor([5, 3])
    losses = transducer_loss(logits, labels, frames, counts)
    scores = logits.log_softmax(-1)
    loops = torch.stack([double_loop(scores[b, :t, : u + 1], labels[b, :u].tolist()) for b, (t, u) in enumerate([(12, 5), (9, 3)])])
    torch.testing.assert_close(losses, loops, rtol=0, atol=1e-11)
    weights = torch.tensor([1.0, -0.3])
    gradient, looped = (torch.autograd.grad((weights * found).sum(), logits, retain_graph=True)[0] for found in (losses, loops))
    torch.testing.assert_close(gradient, looped, rtol=0, atol=1e-12)
    assert not gradient[1, 9:].any()  # padding has no gradient
    assert not gradient[1, :, 4:].any()


def test_gradcheck(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, labels, frames, counts = (given[1:3] for given in batch)
    assert torch.autograd.gradcheck(
        lambda given: transducer_loss(given, labels[:, :2], frames, counts), (logits[:, :3, :3].clone().requires_grad_(),)
    )


def test_posteriors_are_the_shares_of_all_alignments(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, labels, frames, counts = batch
    scores = logits.log_softmax(-1)
    blank, label = arc_posteriors(logits, labels, frames, counts)
    for b, text in enumerate(TEXTS):
        expected = torch.zeros(2, 4, 4, dtype=torch.float64)
        expected[:, : FRAMES[b], : len(text) + 1] = torch.stack(shares(own(scores, b), text))
        torch.testing.assert_close(torch.stack([blank[b], label[b]]), expected, rtol=0, atol=1e-12)
    real = torch.arange(4) < frames[:, None]
    torch.testing.assert_close(blank.sum(2), real.double())  # every frame is left once, by a blank,
    written = torch.arange(4) < counts[:, None]
    torch.testing.assert_close(label.sum(1), written.double())  # and every symbol written once


def test_fast_emit_raises_the_gradient_of_labels_alone(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, labels, frames, counts = batch
    logits = logits.clone().requires_grad_()
    plain, fast = (transducer_loss(logits, labels, frames, counts, weight) for weight in (0.0, 0.5))
    assert torch.equal(plain, fast)
    more = torch.autograd.grad(fast.sum(), logits)[0] - torch.autograd.grad(plain.sum(), logits)[0]
    label = arc_posteriors(logits, labels, frames, counts).label.detach()
    arcs = -0.5 * label[:, :, :3] * logits.log_softmax(-1)[:, :, :3].gather(3, labels[:, None, :, None].expand(-1, 4, -1, -1))[..., 0]
    torch.testing.assert_close(more, torch.autograd.grad(arcs.sum(), logits)[0], rtol=0, atol=1e-12)


def test_what_pads_a_batch_changes_nothing(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, labels, frames, counts = batch
    larger = drawn(2, 5, 7, 6, V)
    larger[:, :4, :4] = logits
    wider = torch.cat([labels, torch.tensor([[1, 2]] * 5)], 1)
    torch.testing.assert_close(transducer_loss(larger, wider, frames, counts), transducer_loss(logits, labels, frames, counts))
    for found, expected in zip(arc_posteriors(larger, wider, frames, counts), arc_posteriors(logits, labels, frames, counts), strict=True):
        torch.testing.assert_close(found[:, :4, :4], expected)
        assert not found[:, 4:].any()
        assert not found[:, :, 4:].any()


def test_a_long_utterance_in_float32() -> None:
    logits, labels = 4 * drawn(3, 1, 300, 101, 8), torch.randint(1, 8, (1, 100), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([300]), torch.tensor([100])
    losses = [transducer_loss(given, labels, *lengths).double() for given in (logits, logits.float())]
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)
    label = arc_posteriors(logits.float(), labels, *lengths).label
    torch.testing.assert_close(label.sum(1)[0, :100], torch.ones(100), rtol=0, atol=2e-2)


@pytest.mark.parametrize(
    "labels, frames, counts, said",
    [
        ((2, 2), [4, 4], [2, 2], "do not fit"),
        ((2, 3), [4, 0], [3, 2], "1 to 4 frames and 0 to 3 symbols"),
        ((2, 3), [4, 5], [3, 2], "not \\[4, 5\\] and \\[3, 2\\]"),
        ((2, 3), [4, 4], [4, 2], "0 to 3 symbols"),
        ((2, 3), [4, 4], [3], "do not fit"),
        ((2, 3), [4], [3, 3], "do not fit"),
        ((2, 3), [4, 4], [3, -1], "0 to 3 symbols"),
    ],
)
def test_what_does_not_fit_is_refused(labels: tuple[int, int], frames: list[int], counts: list[int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        transducer_loss(torch.zeros(2, 4, 4, V), torch.ones(labels, dtype=torch.int64), torch.tensor(frames), torch.tensor(counts))
