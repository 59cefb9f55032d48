"""One update: of each phase the gradient of the whole global batch, and a step of its optimizer unless something is not finite.

    for phase in model.phases:
        losses = model(batch, step, phase)      for each micro-batch; terms are summed, and divided by their count over all devices
        gradient, of the phase's parameters     unscaled (fp16), its norm taken and clipped
        optimizer.step()                        left out, by the device itself, if loss or gradient is not finite or nothing was counted

Nothing here waits for the device. What came of an update lies on it, an `Outcome`, until somebody reads it, for many updates at once.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Trainable
from foresay.training.devices import Process
from foresay.training.loss_scale import LossScale
from foresay.training.optimizers import Group, build_optimizer, learning_rate, step_unless
from foresay.training.parallel import average_gradients, backward, clip_gradient, exchanging_gradients, load_optimizer, spread, whole
from foresay.training.recipe import Recipe
from foresay.training.tally import Tally, weighed

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
FLAGS = ("bad", "overflowed", "nothing")
"""Why a phase was left out: loss or gradient not finite; overflow at the present scale of fp16; the counts of all terms 0."""


class Outcome(NamedTuple):
    """What came of an update that the device may still be at work on."""

    step: int
    ids: tuple[str, ...]
    """What this device was given."""
    known: dict[str, float]
    """Scalars that the device has no part in."""
    awaited: dict[str, Tensor]
    """Flags and scalars of each phase, tensors (), as `phase name`."""


class Read(NamedTuple):
    """An outcome, read."""

    step: int
    ids: tuple[str, ...]
    flags: dict[str, bool]
    """By FLAGS, of any phase."""
    scalars: dict[str, float]
    """Of the phases that were done."""


class _Phase(NamedTuple):
    name: str
    parameters: list[nn.Parameter]
    others: list[nn.Parameter]
    """Of the other phases."""
    optimizer: torch.optim.Optimizer


class Updater:
    """Updates a model that all devices train together."""

    def __init__(self, model: Trainable, recipe: Recipe, updates: int, place: Process) -> None:
        """`updates`: how many there will be."""
        self.model, self.recipe, self.updates, self.place = model, recipe, updates, place
        self.module = spread(model, place, recipe.trainer.parallel)
        self.phases = [self._phase(name) for name in model.phases]
        self._terms: dict[str, int] = {}
        """How many each phase has been seen to have."""
        self.scale = LossScale(place.device, moves=recipe.trainer.precision == "fp16")

    def begin(self, batches: Sequence[Batch], step: int) -> Outcome:
        """Begin an update over this device's micro-batches."""
        self.model.train()
        rate = learning_rate(self.recipe.optimizer, step, self.updates)
        moved = [batch.to(self.place.device) for batch in batches]
        awaited: dict[str, Tensor] = {}
        for phase in self.phases:
            for group in phase.optimizer.param_groups:
                group["lr"] = rate * self.model.rate(group.get("name", ""), step)
            awaited |= {f"{phase.name} {name}": value for name, value in self._do(phase, moved, step).items()}
        seconds = sum(float(batch.lengths.sum()) for batch in batches if batch.lengths is not None) / self.recipe.data.sample_rate
        awaited["all audio_seconds"] = self.place.added(self.place.number(seconds))
        known = {"lr": rate} | self.model.after_step(step)
        return Outcome(step, tuple(name for batch in batches for name in batch.ids), known, awaited)

    def read(self, outcomes: Sequence[Outcome]) -> list[Read]:
        """Wait for updates, and say what came of them."""
        if not outcomes:
            return []
        values = iter(torch.stack([self.place.number(v) for outcome in outcomes for v in outcome.awaited.values()]).tolist())
        return [_read(outcome, {name: next(values) for name in outcome.awaited}, self.model.phases) for outcome in outcomes]

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Compute what may be less exact in the precision of the recipe."""
        if self.recipe.trainer.precision in PRECISIONS:
            return torch.autocast(self.place.device.type, PRECISIONS[self.recipe.trainer.precision])
        return contextlib.nullcontext()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the whole optimizers' states, and the loss scale. All devices must ask."""
        optimizers = {phase.name: whole(phase.optimizer.state_dict(), self.place) for phase in self.phases}
        return {"optimizers": optimizers, "loss_scale": self.scale.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on with what a checkpoint kept."""
        for phase in self.phases:
            load_optimizer(phase.optimizer, state["optimizers"][phase.name])
        self.scale.load(state["loss_scale"])

    def _phase(self, name: str) -> _Phase:
        own = [p for p in self.model.trained(name) if p.requires_grad]
        known = set(own)
        others = [p for p in self.model.parameters() if p not in known]
        return _Phase(name, own, others, build_optimizer(self.recipe.optimizer, self._grouped(own)))

    def _grouped(self, parameters: list[nn.Parameter]) -> list[Group]:
        """Put parameters into the groups that have learning rates of their own."""
        groups: dict[str, list[nn.Parameter]] = {}
        wanted = set(parameters)
        for name, parameter in self.model.named_parameters():
            if parameter in wanted:
                beginnings = [group for group in self.model.rate_groups if name.startswith(group)]
                groups.setdefault(max(beginnings, key=len, default=""), []).append(parameter)
        return [{"name": name, "params": own} for name, own in groups.items()]

    def _do(self, phase: _Phase, batches: Sequence[Batch], step: int) -> dict[str, Tensor]:
        """Do a phase: its flags and scalars, tensors ()."""
        self.model.zero_grad(set_to_none=True)
        tally, unscaled = Tally(self.place), 1 / self.scale.scale
        counted = self._counted(batches[1:], step, phase.name)
        counts: dict[str, Tensor] = {}
        for number, batch in enumerate(batches, start=1):
            with exchanging_gradients(self.module, now=number == len(batches)):  # once an update
                with self.autocast():
                    losses: Losses = self.module(batch, step, phase.name)
                tally.add(losses)
                counts = counts or self._expected(losses, len(batches) - 1, counted)
                loss = weighed(losses, counts) * self.place.world  # which averaging over devices takes out again
                scaled = loss * self.scale.scale if self.scale.moves else loss
                backward(self.module, scaled, phase.parameters if len(self.phases) > 1 else None)
        for other in phase.others:
            other.grad = None
        totals = tally.together()
        self._terms[phase.name] = len(counts)
        if self.scale.moves or len(batches) > 1:
            (name, *more) = counts
            correction = unscaled if more else unscaled * counts[name] / totals.counts[name]
            gradients = [p.grad for p in phase.parameters if p.grad is not None]
            torch._foreach_mul_(gradients, correction.to(gradients[0].dtype))
        if len(self.phases) > 1:
            average_gradients(phase.parameters, self.place)
        norm = clip_gradient(phase.parameters, self.recipe.trainer.clip or math.inf)
        overflowed = self.scale.overflowed(totals.loss, norm) & ~totals.nothing
        bad = ~(totals.loss.isfinite() & norm.isfinite()) & ~overflowed & ~totals.nothing
        self.scale.move(overflowed)
        step_unless(bad | overflowed | totals.nothing, phase.optimizer)
        flags = dict(zip(FLAGS, (bad, overflowed, totals.nothing), strict=True))
        scalars = {"loss": totals.loss, **totals.scalars, "grad_norm": norm}
        return {**flags, **scalars, **({"loss_scale": self.scale.scale} if self.scale.moves else {})}

    def _counted(self, batches: Sequence[Batch], step: int, phase: str) -> list[Mapping[str, Tensor | float]]:
        """Count beforehand what the terms of all micro-batches but the first will count, unless the loss is known to have one term."""
        if self._terms.get(phase) == 1:
            return []
        with self.autocast():
            return [self.model.counts(batch, step, phase) for batch in batches]

    def _expected(self, first: Losses, rest: int, counted: Sequence[Mapping[str, Tensor | float]]) -> dict[str, Tensor]:
        """Say what each term will count on all devices, after the first of `1 + rest` micro-batches.

        A single term is expected to count in the others what it counted in the first: what turns out otherwise is put right at the end.
        """
        counts = {name: self.place.number(term.count) for name, term in first.terms.items()}
        if len(counts) == 1:
            counts = {name: count * (1 + rest) for name, count in counts.items()}
        else:
            for found in counted:
                counts = {name: count + self.place.number(found[name]) for name, count in counts.items()}
        everywhere = self.place.added(torch.stack(list(counts.values())))
        return dict(zip(counts, torch.where(everywhere > 0, everywhere, 1).unbind(), strict=True))


def _read(outcome: Outcome, values: Mapping[str, float], phases: Sequence[str]) -> Read:
    flags = {flag: any(values[f"{phase} {flag}"] > 0 for phase in phases) for flag in FLAGS}
    scalars: dict[str, float] = {}
    for label, value in values.items():
        phase, _, name = label.partition(" ")
        left_out = phase in phases and any(values[f"{phase} {flag}"] for flag in FLAGS)
        if name not in FLAGS and not left_out and math.isfinite(value):
            scalars[name if phase == "all" or len(phases) == 1 else f"{phase}_{name}"] = value
    return Read(outcome.step, outcome.ids, flags, scalars | outcome.known)
