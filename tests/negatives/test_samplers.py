"""Where negatives may come from, and that the draw belongs to the group, not to the device."""

import pytest
import torch

from foresay.errors import UserError
from foresay.negatives import NegativeSampler
from foresay.settings import find_class, list_names

FRAMES, POSITIONS, MATCHED, GROUP, COUNT = 20, 14, 6, 4, 200


def _sampler(name: str) -> NegativeSampler:
    sampler: NegativeSampler = find_class("foresay.negatives", name, NegativeSampler)(COUNT, GROUP)
    return sampler


def _draw(name: str, keys: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Utterance within the group and time of every negative, (B, W, N) each."""
    latents = torch.randn(len(keys), FRAMES, 3, generator=torch.Generator().manual_seed(0))
    found = _sampler(name)(latents, torch.tensor(keys), POSITIONS, MATCHED)
    assert found.pool.shape == (len(keys) // GROUP, GROUP * FRAMES, 3)
    torch.testing.assert_close(found.pool[0, FRAMES + 2], latents[1, 2])
    return found.rows // FRAMES, found.rows % FRAMES


@pytest.mark.parametrize("name", list_names("foresay.negatives"))
def test_the_draw_belongs_to_the_group(name: str) -> None:
    keys = [5, 1, 2, 3, 9, 1, 2, 3]
    utterances, times = _draw(name, keys)
    again, times_again = _draw(name, keys[GROUP:])  # the second group alone, as on another device
    assert torch.equal(utterances[GROUP:], again)
    assert torch.equal(times[GROUP:], times_again)
    assert not torch.equal(times[:GROUP], times[GROUP:])
    assert utterances.min() >= 0
    assert utterances.max() < GROUP


def test_reference_excludes_only_the_own_time_in_every_utterance() -> None:
    utterances, times = _draw("reference", list(range(GROUP)))
    position = torch.arange(POSITIONS)[:, None]
    shift = (times - position) % FRAMES
    assert shift.min() == 1
    assert torch.equal(shift.unique(), torch.arange(1, FRAMES))
    own = utterances == torch.arange(GROUP)[:, None, None]
    assert own.float().mean().item() == pytest.approx(1 / GROUP, abs=0.02)
    in_window = own & (shift <= MATCHED)
    assert in_window.any()  # the positives of the own utterance are not excluded


def test_other_utterances_never_draws_from_its_own() -> None:
    utterances, times = _draw("other-utterances", list(range(GROUP)))
    assert not (utterances == torch.arange(GROUP)[:, None, None]).any()
    assert torch.equal(times.unique(), torch.arange(FRAMES))


def test_repaired_never_draws_the_position_or_its_match_window() -> None:
    utterances, times = _draw("repaired", list(range(GROUP)))
    own = utterances == torch.arange(GROUP)[:, None, None]
    ahead = times - torch.arange(POSITIONS)[:, None]
    assert not (own & (ahead >= 0) & (ahead <= MATCHED)).any()
    # Everything else is drawn, and about as often.
    counts = torch.stack([torch.bincount((u * FRAMES + t), minlength=GROUP * FRAMES) for u, t in _repeated("repaired")]).sum(0)
    forbidden = torch.arange(FRAMES + 3, FRAMES + 3 + MATCHED + 1)
    assert (counts[forbidden] == 0).all()
    allowed = counts[[i for i in range(GROUP * FRAMES) if i not in forbidden.tolist()]]
    expected = allowed.float().mean()
    assert (allowed - expected).abs().max() < 5 * expected.sqrt()


def _repeated(name: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Draws for position 3 of utterance 1, from many keys."""
    drawn = [_draw(name, [key, 0, 0, 0]) for key in range(60)]
    return [(utterances[1, 3], times[1, 3]) for utterances, times in drawn]


def test_a_batch_that_is_not_made_of_groups_is_explained() -> None:
    with pytest.raises(UserError, match="5 utterances do not fall into negative groups of 4"):
        _draw("reference", list(range(5)))


def test_other_utterances_needs_others() -> None:
    with pytest.raises(UserError, match="at least 2"):
        find_class("foresay.negatives", "other-utterances", NegativeSampler)(128, 1)
