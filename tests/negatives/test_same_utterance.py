"""Negatives of the same utterance: everything but what is predicted, each as likely."""

import pytest
import torch

from foresay.errors import UserError
from foresay.negatives.within_group import SameUtterance


@pytest.mark.parametrize("matched", [1, 3])
def test_every_other_frame_is_as_likely_and_what_is_predicted_never_comes(matched: int) -> None:
    frames, positions, count = 9, 5, 20_000
    rows = SameUtterance(count, 2, 4).draw(frames, positions, matched, torch.Generator().manual_seed(0))
    assert rows.shape == (2, positions, count)
    for utterance in range(2):
        for position in range(positions):
            seen = torch.bincount(rows[utterance, position] - utterance * frames, minlength=frames)
            allowed = [t for t in range(frames) if not position < t <= position + matched]
            assert seen.sum() == seen[allowed].sum() == count
            expected = count / len(allowed)
            assert (seen[allowed] - expected).abs().max() < 5 * expected**0.5


def test_too_short_an_utterance_is_explained() -> None:
    with pytest.raises(UserError, match=r"data\.window"):
        SameUtterance(3, 1, 4).draw(2, 1, 2, torch.Generator())
