"""Attention: weights of real frames sum to one, padding and batch mates change nothing, and spelling a text is stepping through it."""

import pytest
import torch

from foresay.layers.attention_decoder import AttentionDecoder

LENGTHS = torch.tensor([9, 5])
GIVEN = torch.tensor([[0, 1, 2, 3], [0, 4, 4, 1]])


@pytest.fixture(params=[0, 3], ids=["content", "location"])
def decoder(request: pytest.FixtureRequest) -> AttentionDecoder:
    torch.manual_seed(0)
    return AttentionDecoder(6, 5, hidden=7, embedding=4, energies=8, filters=request.param, width=5, dropout=0.3).eval()


def test_weights_sum_to_one_over_real_frames_and_padding_changes_nothing(decoder: AttentionDecoder) -> None:
    frames = torch.randn(2, 9, 6)
    scores, attention = decoder.spell(decoder.attend(frames, LENGTHS), GIVEN)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 4))
    assert not attention[1, :, 5:].any()
    frames[1, 5:] = 1e3
    torch.testing.assert_close(decoder.spell(decoder.attend(frames, LENGTHS), GIVEN)[0], scores)
    alone, _ = decoder.spell(decoder.attend(frames[1:, :5], LENGTHS[1:]), GIVEN[1:])
    torch.testing.assert_close(alone, scores[1:])


def test_spelling_is_stepping_whatever_else_is_in_the_beam(decoder: AttentionDecoder) -> None:
    spelling = decoder.attend(torch.randn(2, 9, 6), LENGTHS)
    scores, attention = decoder.spell(spelling, GIVEN)
    state = spelling.begin(2)
    for place, last in enumerate(GIVEN.unbind(1)):
        found, weights, state = spelling.step(state, torch.stack([torch.tensor([3, 3]), last], 1))
        torch.testing.assert_close(found[:, 1], scores[:, place].log_softmax(-1))
        torch.testing.assert_close(weights[:, 1], attention[:, place])


def test_where_attention_was_matters_to_filters_alone(decoder: AttentionDecoder) -> None:
    spelling, state = decoder.attend(torch.randn(1, 9, 6), LENGTHS[:1]), decoder.attend(torch.randn(1, 9, 6), LENGTHS[:1]).begin(1)
    moved = (*state[:3], torch.eye(9)[4].view(1, 1, 9))
    one, other = (spelling.step(s, torch.tensor([[1]]))[1] for s in (state, moved))
    assert torch.equal(one, other) == (decoder.filters is None)


def test_drawn_symbols_are_given_in_place_of_the_texts(decoder: AttentionDecoder) -> None:
    spelling = decoder.attend(torch.randn(2, 9, 6), LENGTHS)
    drawn = torch.zeros(2, 4, 2)
    drawn[..., 1] = 0.6
    plain, _ = decoder.spell(spelling, GIVEN)
    torch.testing.assert_close(decoder.spell(spelling, GIVEN, drawn)[0], plain)
    drawn[:, 2, 0] = 1
    sampled, _ = decoder.spell(spelling, GIVEN, drawn)
    torch.testing.assert_close(sampled[:, :2], plain[:, :2])
    for row in range(2):  # the symbol at which the sum of probabilities passes 0.6
        shares = plain[row, 1].softmax(-1).tolist()
        own = next(number for number in range(5) if sum(shares[: number + 1]) >= 0.6)
        given = GIVEN.clone()
        given[row, 2] = own
        torch.testing.assert_close(sampled[row], decoder.spell(spelling, given)[0][row])
