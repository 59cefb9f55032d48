"""Where negatives may come from, and that the draw belongs to the group, not to the device."""

import pytest
import torch

from foresay.errors import UserError
from foresay.negatives import Negatives, NegativeSampler, build_sampler
from foresay.negatives.queue import QueueNegatives
from foresay.settings import list_names

FRAMES, POSITIONS, MATCHED, GROUP, COUNT, SIZE = 20, 14, 6, 4, 200, 3


def _sampler(name: str, **options: float | str) -> NegativeSampler:
    return build_sampler(name, COUNT, GROUP, SIZE, options)


def _latents(groups: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(groups * GROUP, FRAMES, SIZE, generator=torch.Generator().manual_seed(seed))


def _negatives(sampler: NegativeSampler, latents: torch.Tensor, keys: torch.Tensor) -> Negatives:
    """Draw, put together, and keep what a queue takes in, as a model does."""
    drawn = sampler.drawn(FRAMES, keys, POSITIONS, MATCHED)
    sampler.keep(latents, drawn)
    return sampler(latents, drawn)


def _draw(name: str, keys: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Utterance within the group and time of every negative, (B, W, N) each."""
    latents = _latents(len(keys) // GROUP or 1)[: len(keys)]
    found = _negatives(_sampler(name), latents, torch.tensor(keys))
    assert found.pool[:, : GROUP * FRAMES].shape == (len(keys) // GROUP, GROUP * FRAMES, SIZE)
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
        _sampler("reference").drawn(FRAMES, torch.arange(5), POSITIONS, MATCHED)


def test_other_utterances_needs_others() -> None:
    with pytest.raises(UserError, match="at least 2"):
        build_sampler("other-utterances", 128, 1, SIZE, {})


def test_an_option_that_a_sampler_does_not_have_is_named() -> None:
    with pytest.raises(UserError, match=r"negative_options\.lenght.*did you mean .length"):
        _sampler("queue", lenght=3)
    with pytest.raises(UserError, match=r"model\.negative_options\.length.*There are none"):
        _sampler("reference", length=3)
    with pytest.raises(UserError, match="share from 0 to 1"):
        _sampler("synthetic", share=2.0)


@pytest.mark.parametrize("kind", ["perturbed", "mixed"])
def test_synthetic_negatives_are_made_of_frames_and_never_of_the_match_window(kind: str) -> None:
    latents = _latents(2).requires_grad_()
    found = _negatives(_sampler("synthetic", kind=kind, share=0.25, sigma=0.1), latents, torch.arange(8))
    real = GROUP * FRAMES
    assert found.pool.shape == (2, 2 * real, SIZE)
    assert (found.rows[..., : COUNT // 4] >= real).all()
    assert (found.rows[..., COUNT // 4 :] < real).all()
    position = torch.arange(GROUP).repeat(2)[:, None, None] * FRAMES + torch.arange(POSITIONS)[:, None]
    ahead = found.rows % real - position
    assert not ((ahead >= 0) & (ahead <= MATCHED)).any()
    frames, made = found.pool[:, :real], found.pool[:, real:]
    if kind == "perturbed":
        spread = ((made - frames) / frames.std(dim=1, keepdim=True)).std(dim=1)
        torch.testing.assert_close(spread, torch.full((2, SIZE), 0.1), atol=0.02, rtol=0)
    else:  # on the line between two frames, nearer to the first
        rest = [(made[0, i] - frames[0, i]) / (frames[0] - frames[0, i]) for i in (3, 70)]
        for ratios in rest:
            same = (ratios - ratios[:, :1]).abs().amax(dim=1) < 1e-3
            assert same.sum() == 1
            assert 0 <= ratios[same, 0].item() <= 0.5
    made.sum().backward()
    assert latents.grad is not None


def _queue_step(sampler: QueueNegatives, seed: int, groups: int = 1) -> Negatives:
    found = _negatives(sampler, _latents(groups, seed), torch.arange(groups * GROUP) + seed)
    sampler.after_step()
    return found


def test_the_queue_is_first_in_first_out_and_wraps_around() -> None:
    sampler = QueueNegatives(COUNT, GROUP, SIZE, length=10, share=0.5, per_group=4, sampled=8)
    first = _queue_step(sampler, 0)
    assert first.pool.shape[1] == GROUP * FRAMES  # nothing in the queue yet: all negatives are of the group
    assert first.rows.max() < GROUP * FRAMES
    added = [sampler.queue.latents[:4].clone()]
    for seed in (1, 2):
        found = _queue_step(sampler, seed)
        known_rows = found.pool[0, GROUP * FRAMES :]
        assert len(known_rows) == 8
        known = torch.cat(added)
        assert all((row == known).all(dim=1).any() for row in known_rows)  # only what came in earlier updates
        assert (found.rows[..., : COUNT // 2] >= GROUP * FRAMES).all()
        assert (found.rows[..., COUNT // 2 :] < GROUP * FRAMES).all()
        places = (4 * seed + torch.arange(4)) % 10
        added.append(sampler.queue.latents[places].clone())
        frames = _latents(1, seed).reshape(-1, SIZE)
        assert all((row == frames).all(dim=1).any() for row in added[-1])
    assert int(sampler.queue.arrived) == 12
    assert len(sampler.queue.held()) == 10
    torch.testing.assert_close(sampler.queue.latents[:2], added[2][2:])  # the third update's last two took the places of the first's
    torch.testing.assert_close(sampler.queue.latents[2:4], added[0][2:])


def test_the_queue_has_no_gradient_survives_saving_and_waits_in_evaluation() -> None:
    sampler = QueueNegatives(COUNT, GROUP, SIZE, length=64, per_group=4, sampled=8)
    _queue_step(sampler, 0)
    latents = _latents(1).requires_grad_()
    found = _negatives(sampler, latents, torch.arange(GROUP))
    found.pool[0, GROUP * FRAMES :].sum().backward()  # reaches nothing
    assert latents.grad is None or not latents.grad.any()
    again = QueueNegatives(COUNT, GROUP, SIZE, length=64, per_group=4, sampled=8)
    again.load_state_dict(sampler.state_dict())
    assert torch.equal(_negatives(again.eval(), latents, torch.arange(GROUP)).rows, found.rows)
    before = int(again.queue.arrived)
    _queue_step(again, 5)
    assert int(again.queue.arrived) == before


def test_what_is_not_finite_is_not_queued() -> None:
    sampler = QueueNegatives(COUNT, GROUP, SIZE, length=64)
    _negatives(sampler, torch.full((GROUP, FRAMES, SIZE), torch.nan), torch.arange(GROUP))
    sampler.after_step()
    assert len(sampler.queue.held()) == 0


def test_an_option_of_older_models_has_its_name_of_today() -> None:
    older, newer = (build_sampler("queue", COUNT, GROUP, SIZE, {name: 8}) for name in ("heard", "sampled"))
    assert isinstance(older, QueueNegatives)
    assert isinstance(newer, QueueNegatives)
    assert older.sampled == newer.sampled == 8
