"""The best path: its symbols, where they begin, and its score."""

import pytest
import torch

from foresay.contracts.recognition import Emissions
from foresay.decoding.greedy import best_path
from foresay.errors import UserError
from reference.ctc_loops import collapsed, drawn


def test_a_path_by_hand() -> None:
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 0], [0, 2, 0, 0, 1, 1, 1]])
    scores = torch.full((2, 7, 3), 0.1).scatter(2, path[..., None], 0.8).log()
    first, second = best_path(Emissions(scores, torch.tensor([7, 4])), lambda tokens: "".join("-ab"[token] for token in tokens))
    assert (first.text, first.tokens, first.frames) == ("aab", (1, 1, 2), (0, 3, 4))
    assert (second.text, second.tokens, second.frames) == ("b", (2,), (1,)), "nothing is said beyond its 4 frames"
    assert first.score == first.acoustic == pytest.approx(7 * scores.max().item(), rel=1e-6)
    assert second.score == pytest.approx(4 * scores.max().item(), rel=1e-6)


def test_random_paths() -> None:
    emissions = drawn(0, utterances=5, frames=40, symbols=4)
    lengths = torch.tensor([40, 1, 0, 17, 39])
    found = best_path(Emissions(emissions.log_probabilities, lengths), str)
    for scores, length, hypothesis in zip(emissions.log_probabilities, lengths.tolist(), found, strict=True):
        path = scores[:length].argmax(-1).tolist()
        assert hypothesis.tokens == collapsed(path)
        assert [path[frame] for frame in hypothesis.frames] == list(hypothesis.tokens)
        assert all(frame == 0 or path[frame - 1] != path[frame] for frame in hypothesis.frames)


@pytest.mark.parametrize(
    "scores, lengths, message",
    [
        (torch.zeros(2, 3), torch.tensor([3, 3]), "one length an utterance"),
        (torch.zeros(2, 3, 4), torch.tensor([3]), "one length an utterance"),
        (torch.zeros(2, 3, 1), torch.tensor([3, 3]), "one length an utterance"),
        (torch.zeros(2, 3, 4), torch.tensor([3, 4]), "3 to 4 frames in a batch of 3"),
        (torch.zeros(2, 3, 4), torch.tensor([-1, 3]), "-1 to 3 frames"),
        (torch.zeros(2, 3, 4).index_fill(0, torch.tensor(1), torch.nan), torch.tensor([3, 2]), "utterance 1 of the batch"),
    ],
)
def test_what_is_no_emission_is_refused(scores: torch.Tensor, lengths: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        best_path(Emissions(scores, lengths), str)


def test_what_stands_beyond_an_utterance_does_not_matter() -> None:
    scores, _ = drawn(1, utterances=1, frames=6, symbols=3)
    garbage = scores.clone()
    garbage[:, 4:] = torch.nan
    lengths = torch.tensor([4])
    assert best_path(Emissions(garbage, lengths), str) == best_path(Emissions(scores[:, :4], lengths), str)
