"""An update: what is left out and why, half precision, and two players that each move their own."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foresay.contracts import Batch, Losses, Term
from foresay.corpora.batches import BatchLoader, plan_batches
from foresay.corpora.manifest import Manifest
from foresay.runs import Run
from foresay.training.devices import Process
from foresay.training.trainer import Trainer
from foresay.training.update import Updater
from reference.toy_models import LABELS, OneTerm, TinyGAN, TwoTerms, cut, one_update, toy_batch, toy_recipe
from reference.two_processes import write_corpus

ALONE = Process(torch.device("cpu"))


class Breaking(OneTerm):
    """At some updates the loss or, with a finite loss, the gradient is not finite."""

    broken: dict[int, str]

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """One term, or what is left of it."""
        losses = super().forward(batch, step, phase)
        what = self.broken.get(step)
        total = losses.terms["a"].sum
        if what == "loss":
            total = total * torch.nan
        if what == "gradient":
            total = total + torch.sqrt(0 * total)  # of infinite slope at 0
        return Losses({"a": Term(total, losses.terms["a"].count)}, losses.scalars)


def _state(updater: Updater) -> list[Tensor]:
    moments = [value for own in updater.phases[0].optimizer.state.values() for value in own.values()]
    return [p.detach().clone() for p in updater.model.parameters()] + copy.deepcopy(moments)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_leaves_everything_as_it_was(what: str) -> None:
    model = Breaking()
    model.broken = {2: what}
    updater = Updater(model, toy_recipe(), 10, ALONE)
    outcomes = [updater.begin([toy_batch(LABELS)], step) for step in range(2)]
    before = _state(updater)
    outcomes.append(updater.begin([toy_batch(LABELS)], 2))
    assert all(torch.equal(one, other) for one, other in zip(before, _state(updater), strict=True))
    outcomes.append(updater.begin([toy_batch(LABELS)], 3))
    assert not torch.equal(before[0], _state(updater)[0])
    read = updater.read(outcomes)
    assert [one.flags["bad"] for one in read] == [False, False, True, False]
    assert [("loss" in one.scalars, "grad_norm" in one.scalars) for one in read] == [(True, True)] * 2 + [(False, False), (True, True)]
    assert read[2].scalars == {"lr": 0.1, "audio_seconds": 24 / 16_000}
    assert read[2].ids == tuple("012345")


def test_an_update_with_nothing_to_count_is_left_out_and_is_no_failure() -> None:
    read, _ = one_update(TwoTerms(), [toy_batch([(0, 0, 0, 0)])], ALONE)
    assert read.flags == {"bad": False, "overflowed": False, "nothing": True}
    assert "loss" not in read.scalars


def test_a_limit_of_nought_is_none() -> None:
    (_, free), (_, off), (_, low) = (one_update(OneTerm(), [toy_batch(LABELS)], ALONE, f"trainer.clip={c}") for c in (1e9, 0.0, 0.01))
    assert all(torch.equal(free[name], off[name]) for name in free)
    assert torch.cat([g.flatten() for g in low.values()]).norm() == pytest.approx(0.01, rel=1e-4)


def test_in_half_precision_overflows_are_counted_apart_and_find_the_scale() -> None:
    """Of large inputs the gradient does not fit into half precision, times 65,536, until that has been halved some times."""
    model = OneTerm()
    updater = Updater(model, toy_recipe("trainer.precision=fp16", "optimizer.lr=0.001"), 10, ALONE)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model.layer.weight.zero_()
    batch = toy_batch(LABELS)
    assert batch.waveforms is not None
    batch.waveforms.mul_(300)
    read = updater.read([updater.begin([batch], step) for step in range(12)])
    overflowed = [one.flags["overflowed"] for one in read]
    assert overflowed[0]
    assert not overflowed[-1]
    assert not any(one.flags["bad"] for one in read)
    assert read[-1].scalars["loss_scale"] == 2.0 ** (16 - sum(overflowed))
    assert not torch.equal(before["layer.bias"], model.state_dict()["layer.bias"])


def test_half_precision_unscales_before_it_clips() -> None:
    norms, gradients = [], []
    for precision in ("fp32", "fp16"):
        model = TwoTerms()
        updater = Updater(model, toy_recipe(f"trainer.precision={precision}", "trainer.clip=0.5", "optimizer.lr=1e-9"), 10, ALONE)
        read = updater.read([updater.begin(cut(toy_batch(LABELS), (2, 4)), step) for step in range(12)])
        norms.append(read[-1].scalars["grad_norm"])
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert norms[1] == pytest.approx(norms[0], rel=0.01)
    assert norms[0] > 1
    for exact, half in zip(*gradients, strict=True):
        torch.testing.assert_close(half, exact, rtol=0.02, atol=1e-3)


def test_each_phase_moves_its_own_parameters_and_all_that_it_is_given_is_up_to_date() -> None:
    torch.manual_seed(0)
    model = TinyGAN()
    updater = Updater(model, toy_recipe(), 10, ALONE)
    plain = copy.deepcopy(model)
    optimizers = {phase: torch.optim.Adam(getattr(plain, phase).parameters(), lr=0.1) for phase in TinyGAN.phases}
    batch = Batch(tuple("abcd"), torch.rand(4, 4800), torch.full((4,), 4800), torch.arange(4))
    for step in range(3):
        (read,) = updater.read([updater.begin([batch], step)])
        for phase in TinyGAN.phases:  # the same, as one would write it down
            plain.zero_grad()
            loss = plain(batch, step, phase).total()
            loss.backward()
            optimizers[phase].step()
            assert read.scalars[f"{phase}_loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)


def test_two_players_resume_bit_for_bit(tmp_path: Path) -> None:
    manifest = Manifest.open(write_corpus(tmp_path))

    def train(run: str, steps: int) -> dict[str, Tensor]:
        recipe = toy_recipe("data.batch=4", "data.window=4800", f"trainer.steps={steps}", "trainer.save_every=2")
        torch.manual_seed(0)
        plan = plan_batches(manifest, recipe.data, seed=0)

        def loader() -> BatchLoader:
            return BatchLoader(manifest, plan)

        folder = Run(tmp_path / run)
        folder.begin(recipe.toml())
        trainer = Trainer(TinyGAN(), recipe, loader, loader, steps, folder, ALONE)
        trainer.fit()
        return folder.checkpoints()[-1].weights() | {name: torch.tensor(value) for name, value in trainer.validate().items()}

    whole = train("whole", 6)
    train("halves", 3)
    halves = train("halves", 6)
    assert {"discriminator_loss", "generator_loss", "generator_spread"} <= whole.keys() == halves.keys()
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
