"""CTC forced alignment against every path, the sum against torch's loss, times and confidences."""

import math

import pytest
import torch
import torch.nn.functional as F

from foresay.contracts.recognition import Emissions
from foresay.decoding.alignment import Span, align, posteriors, spans, text_scores, without_prior, word_spans
from foresay.decoding.emissions import padded_labels, required_frames
from foresay.errors import UserError
from reference.ctc_loops import best_path_of, collapsed, drawn, every_text

TEXTS = [(), (1,), (2, 2), (1, 2), (1, 1, 2), (2, 1, 2, 1), (1, 2, 2)]


def test_the_best_path_is_that_of_all_paths() -> None:
    emissions = drawn(0, utterances=len(TEXTS), frames=6, symbols=3)
    lengths = torch.tensor([3, 1, 6, 5, 4, 6, 6])
    found = align(Emissions(emissions.log_probabilities, lengths), TEXTS)
    for b, text in enumerate(TEXTS):
        score, path = best_path_of(emissions.log_probabilities[b, : lengths[b]].tolist(), text)
        assert found.score[b].item() == pytest.approx(score, abs=1e-5)
        places = found.places[b].tolist()
        assert [0 if place < 0 else text[place] for place in places] == [*path, *[0] * (6 - len(path))]
        assert sorted(set(places) - {-1}) == list(range(len(text)))


def test_the_sum_is_that_of_all_paths_and_of_torch() -> None:
    emissions = drawn(1, utterances=len(TEXTS), frames=6, symbols=3)
    summed = text_scores(emissions, TEXTS)
    expected = [every_text(scores.tolist())[text] for scores, text in zip(emissions.log_probabilities, TEXTS, strict=True)]
    torch.testing.assert_close(summed, torch.tensor(expected), rtol=0, atol=1e-5)
    large = drawn(2, utterances=4, frames=60, symbols=12)
    lengths = torch.tensor([60, 40, 33, 60])
    labels = [torch.randint(1, 12, (count,), generator=torch.Generator().manual_seed(count)).tolist() for count in (20, 15, 0, 7)]
    rows, counts = padded_labels(labels)
    loss = F.ctc_loss(large.log_probabilities.transpose(0, 1), rows, lengths, counts, reduction="none")
    torch.testing.assert_close(-text_scores(Emissions(large.log_probabilities, lengths), labels), loss, rtol=1e-5, atol=1e-4)


def test_posteriors_are_the_shares_of_all_paths() -> None:
    emissions = drawn(3, utterances=2, frames=5, symbols=3)
    lengths, texts = torch.tensor([5, 4]), [(1, 2), (2,)]
    gamma = posteriors(Emissions(emissions.log_probabilities, lengths), texts)
    assert gamma.shape == (2, 5, 5)
    torch.testing.assert_close(gamma.sum(-1), torch.tensor([[1.0] * 5, [1.0] * 4 + [0.0]]))
    scores = emissions.log_probabilities.double().requires_grad_()
    for b, text in enumerate(texts):  # the share of a symbol in a frame is the gradient of log p of the text
        (share,) = torch.autograd.grad(text_scores(Emissions(scores[b : b + 1], lengths[b : b + 1]), [text]).sum(), scores)
        states = [0, text[0], 0, *(text[1:] and [text[1], 0])]
        mine = torch.zeros(5, 3, dtype=torch.float64).index_add_(1, torch.tensor(states), gamma[b, :, : len(states)].double())
        torch.testing.assert_close(mine, share[b], rtol=0, atol=1e-5)


def test_posteriors_of_a_long_utterance() -> None:
    emissions = drawn(4, utterances=1, frames=400, symbols=5)
    text = [1, 2, 3, 4, 4, 1] * 20
    torch.testing.assert_close(posteriors(emissions, [text]).sum(-1), torch.ones(1, 400), rtol=0, atol=1e-3)


def test_times_and_confidences_by_hand() -> None:
    #            -    a    b    |
    rows = [
        [0.7, 0.1, 0.1, 0.1],
        [0.1, 0.7, 0.1, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.1, 0.1, 0.6, 0.2],
        [0.1, 0.1, 0.1, 0.7],
        [0.1, 0.8, 0.0, 0.1],
    ]
    emissions = Emissions(torch.tensor([rows, rows]).log(), torch.tensor([6, 1]))
    labels = [(1, 2, 3, 1), ()]
    found, nothing = spans(align(emissions, labels), emissions, labels)
    assert nothing == []
    assert [(span.symbols, span.begin, span.end) for span in found] == [((1,), 1, 3), ((2,), 3, 4), ((3,), 4, 5), ((1,), 5, 6)]
    assert [span.confidence for span in found] == pytest.approx([0.7, 0.6, 0.7, 0.8])
    first, second = word_spans(found, boundary=3)
    assert first == Span((1, 2), 1, 4, pytest.approx(math.sqrt(0.7 * 0.6)))
    assert second == Span((1,), 5, 6, pytest.approx(0.8))
    assert word_spans([], boundary=3) == []


def test_without_a_share_of_the_prior_symbols_last_longer() -> None:
    rows = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]]
    emissions, labels = Emissions(torch.tensor([rows]).log(), torch.tensor([4])), [(1,)]
    prior = torch.tensor([0.65, 0.35]).log()
    spoken = {}
    for share in (0.0, 1.0):
        (found,) = spans(align(without_prior(emissions, prior, share), labels), emissions, labels)[0]
        spoken[share] = (found.begin, found.end)
        assert found.confidence == pytest.approx(0.8)
    assert spoken == {0.0: (1, 2), 1.0: (1, 3)}
    torch.testing.assert_close(without_prior(emissions, prior, 0.0).log_probabilities, emissions.log_probabilities)


def test_alignment_does_not_depend_on_batch_mates() -> None:
    emissions = drawn(5, utterances=3, frames=30, symbols=6)
    texts, lengths = [(1, 2, 2, 5), (3,), (4, 4, 4, 1, 2, 3, 5)], [30, 12, 25]
    together = align(Emissions(emissions.log_probabilities, torch.tensor(lengths)), texts)
    for b, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        alone = align(Emissions(emissions.log_probabilities[b : b + 1, :length], torch.tensor([length])), [text])
        assert alone.score.item() == pytest.approx(together.score[b].item(), abs=1e-5)
        assert alone.places[0].tolist() == together.places[b, :length].tolist()


def test_an_utterance_without_frames_or_text() -> None:
    emissions = Emissions(drawn(6, 2, 3, 4).log_probabilities, torch.tensor([0, 3]))
    found = align(emissions, [(), ()])
    assert found.score.tolist() == pytest.approx([0.0, emissions.log_probabilities[1, :, 0].sum().item()])
    assert (found.places == -1).all()
    assert spans(found, emissions, [(), ()]) == [[], []]
    assert text_scores(emissions, [(), ()])[0] == 0


@pytest.mark.parametrize("text", TEXTS)
def test_fewer_frames_than_needed_are_refused(text: tuple[int, ...]) -> None:
    needed = required_frames(text)
    shortest = [frames for frames in range(7) if text == () or any(collapsed(path) == text for path in _paths(frames))]
    assert shortest[0] == needed
    emissions = drawn(7, 2, 6, 3)
    assert align(Emissions(emissions.log_probabilities, torch.tensor([6, needed])), [(1,), text]).score.isfinite().all()
    if needed:
        with pytest.raises(UserError, match=rf"utterance 1 has {needed - 1} frames and its text needs {needed}"):
            align(Emissions(emissions.log_probabilities, torch.tensor([6, needed - 1])), [(1,), text])


@pytest.mark.parametrize("labels, message", [([(0,), (1,)], "holds 0"), ([(1,), (3,)], "utterance 1 holds 3"), ([(1,)], "1 texts for 2")])
def test_texts_of_another_vocabulary_are_refused(labels: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        text_scores(drawn(8, 2, 4, 3), labels)


def _paths(frames: int) -> list[tuple[int, ...]]:
    paths: list[tuple[int, ...]] = [()]
    for _ in range(frames):
        paths = [(*path, symbol) for path in paths for symbol in range(3)]
    return paths
