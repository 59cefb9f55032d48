"""The training loop. It knows contracts, not models; all that shapes the learning is a pure function of the recipe and the step.

    for update in loader:                       planned from (seed, epoch, step) alone
        losses = model(batch, step)             for each micro-batch; terms are summed, and divided by their count over all devices
        optimizer.step()                        unless a loss or gradient is not finite: skipped, counted, three in a row end the run
        log, validate, save                     at round steps; Ctrl-C saves too

A run that was killed goes on from its last checkpoint as if nothing had happened: on the CPU bit for bit.
"""

import contextlib
import dataclasses
import itertools
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from foresay import draws
from foresay.contracts import Batch, Losses, Trainable
from foresay.corpora.batches import BatchLoader
from foresay.errors import UserError
from foresay.layers.moving_average import early, follow
from foresay.progress import ProgressBar
from foresay.runs import Checkpoint, DamagedError, Run
from foresay.training.collapse import CollapseWatch
from foresay.training.devices import Place, give_back_freed_memory
from foresay.training.logs import MetricsLog
from foresay.training.optimizers import build_optimizer, learning_rate
from foresay.training.parallel import clip_gradient, exchanging_gradients, load_optimizer, load_weights, spread, whole
from foresay.training.recipe import Recipe
from foresay.training.tally import Tally

NON_FINITE_LIMIT = 3
"""Updates in a row that may fail before the run stops."""


@dataclasses.dataclass
class Progress:
    """How far the run is: with the weights and the optimizer, all that a resume needs."""

    step: int = 0
    """Updates done."""
    epoch: int = 0
    position: int = 0
    """Batches of this epoch done."""
    skipped: int = 0


class Trainer:
    """Trains one model by one recipe into one run folder."""

    def __init__(
        self,
        model: Trainable,
        recipe: Recipe,
        loader: Callable[[], BatchLoader],
        validation: Callable[[], BatchLoader] | None,
        updates: int,
        run: Run,
        place: Place,
    ) -> None:
        """`loader` and `validation` open the audio to learn from and to test on; `updates` is how many there will be."""
        self.model = model.to(place.device)
        self.model.updates, self.model.seed = updates, recipe.trainer.seed
        self.recipe, self.settings = recipe, recipe.trainer
        self.loader, self.validation, self.updates, self.run, self.place = loader, validation, updates, run, place
        if self.settings.compile:
            self.model.compile()  # in place: the names of the parameters stay
        self.module = spread(self.model, place, self.settings.parallel)
        self.optimizer = build_optimizer(recipe.optimizer, self.model.parameters())
        self.average = None if self.settings.average is None else _copied(self.model)
        self.progress = Progress()
        self.log = MetricsLog(run, dataclasses.replace(self.settings, tensorboard=False, wandb=False))  # until the run begins
        self.watch = CollapseWatch()
        self.failed: list[tuple[str, ...]] = []
        self.told: set[str] = set()
        """What the loader had to say, once for each: part of a checkpoint, so that a resumed run does not repeat itself."""

    def fit(self, notes: Sequence[str] = ()) -> Progress:
        """Train to the end, from the newest checkpoint if there is one. `notes`: what the log shall say first."""
        if self.place.leads:
            self.log = MetricsLog(self.run, self.settings)
        self.resume()
        for note in notes:
            self.event(note)
        if self.progress.step >= self.updates:
            return self.progress
        now = self.progress
        with self.loader() as loader, _interruptible(self.place) as interrupted, self._bar() as bar:
            for planned, batches in loader.updates(now.epoch, now.position, now.step):
                scalars = self.update(batches)
                now.step, now.epoch, now.position = now.step + 1, planned.epoch, planned.step + 1
                self._report(scalars, loader, bar)
                stop = self.place.summed([float(bool(interrupted))])[0] > 0
                last = now.step >= self.updates
                if self.validation and (last or now.step % self.settings.validate_every == 0):
                    self.validate()
                if stop or last or now.step % self.settings.save_every == 0:
                    self._pass_on(loader)
                    self.save()
                if stop and not last:
                    msg = (
                        f"stopped at update {now.step} of {self.updates}; saved in {self.run.folder}. The same command goes on from there."
                    )
                    raise KeyboardInterrupt(msg)
                if last:
                    break
        return self.progress

    def update(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Do one update over this device's micro-batches; return its scalars."""
        self.model.train()
        draws.seed_torch("dropout", self.settings.seed, self.progress.step, self.place.rank)
        rate = learning_rate(self.recipe.optimizer, self.progress.step, self.updates)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        scalars = self._backward(batches)
        norm = clip_gradient(self.model.parameters(), math.inf if self.settings.clip is None else self.settings.clip)
        bad = float(not (math.isfinite(scalars["loss"]) and math.isfinite(norm)))
        heard = sum(float(batch.lengths.sum()) for batch in batches if batch.lengths is not None) / self.recipe.data.sample_rate
        bad, heard = self.place.summed([bad, heard])
        if bad:  # on one device: then no device may do this update
            self._skip(batches)
            scalars, norm = {}, float("nan")
        else:
            self.optimizer.step()
            self.failed.clear()
        scalars |= self.model.after_step(self.progress.step)
        if self.average is not None and self.settings.average is not None:
            learnt = {name for name, _ in self.model.named_parameters()}
            follow(self.average, self.model.state_dict(), early(self.settings.average, self.progress.step), learnt)
        numbers = scalars | {"lr": rate, "grad_norm": norm, "audio_seconds": heard}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}

    def _backward(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Accumulate the update's gradient; return its scalars."""
        tally = Tally(self.place, len(batches))
        for number, batch in enumerate(batches, start=1):
            with exchanging_gradients(self.module, now=number == len(batches)):  # once an update
                with self._autocast():
                    losses: Losses = self.module(batch.to(self.place.device), self.progress.step)
                tally.add(losses).backward()
        if (correction := tally.correction()) != 1.0:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(correction)
        return tally.scalars()

    def _skip(self, batches: Sequence[Batch]) -> None:
        """Leave an update out whose loss or gradient is not finite; stop if that goes on."""
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.skipped += 1
        self.failed.append(tuple(name for batch in batches for name in batch.ids))
        self.event(f"update {self.progress.step} skipped: loss or gradient not finite", self.progress.step + 1)
        if len(self.failed) >= NON_FINITE_LIMIT:
            names = "; ".join(", ".join(ids[:4]) + (", …" if len(ids) > 4 else "") for ids in self.failed)  # noqa: PLR2004
            msg = (
                f"{NON_FINITE_LIMIT} updates in a row gave a loss or gradient that is not finite, the last at update {self.progress.step}. "
                f"Their audio: {names}. Usual causes: optimizer.lr too high, no warm-up, broken audio (`foresay corpus check` finds it). "
                "Earlier checkpoints are untouched."
            )
            raise UserError(msg)

    def validate(self) -> dict[str, float]:
        """Measure the loss on held-out audio: the first batches of a fixed plan, dealt out to the devices; no dropout, weights averaged."""
        assert self.validation is not None  # noqa: S101 - the caller looked
        self.model.eval()
        totals: dict[str, float] = {}
        seen = 0.0
        with self.validation() as loader, torch.no_grad(), _in_place_of(self.model, self.average), self._autocast():
            held_out = (batch for _, (batch,) in itertools.islice(loader.one_epoch(), self.settings.validate_batches))
            for batch, weight in _dealt(held_out, self.place):
                losses = self.model(batch.to(self.place.device), self.progress.step)
                found = {"loss": losses.total(), **losses.scalars}
                totals = {name: totals.get(name, 0.0) + weight * float(value) for name, value in found.items()}
                seen += weight
        names = sorted(totals)
        *values, count = self.place.summed([*(totals[n] for n in names), seen])
        means = {name: value / count for name, value in zip(names, values, strict=True)}
        if self.place.leads:
            self.log.write({"kind": "valid", "step": self.progress.step, **means})
        return means

    def save(self) -> None:
        """Write a checkpoint that this run can go on from exactly."""
        weights = whole(self.model.state_dict(), self.place)
        state = {
            "progress": dataclasses.asdict(self.progress),
            "optimizer": whole(self.optimizer.state_dict(), self.place),
            "window": self.log.window,
            "watch": self.watch.state(),
            "told": sorted(self.told),
            "failed": [list(ids) for ids in self.failed],
        }
        if self.average is not None:  # what a run keeps as its model is the average
            state["weights"], weights = weights, whole(self.average, self.place)
        if self.place.leads:
            self.run.save(self.progress.step, weights, state, self.description, self.settings.keep)
        give_back_freed_memory()

    def resume(self) -> Checkpoint | None:
        """Go back to the newest checkpoint that can be read, if there is one; those that cannot are set aside, and told.

        Raises:
            UserError: there are checkpoints, and none can be read.
        """
        damaged: dict[int, str] = {}
        for step in self.place.gathered([checkpoint.step for checkpoint in self.run.checkpoints()])[0][::-1]:
            checkpoint = self.run.checkpoint(step)
            why = self._fault(checkpoint)
            if self.place.summed([float(bool(why))])[0] == 0:
                if self.place.leads:
                    self._settle(checkpoint, damaged)
                return checkpoint
            damaged[step] = why or "another process cannot read it"
        if damaged:
            listed = "; ".join(damaged.values())
            msg = f"no checkpoint of {self.run.folder} can be read: {listed}. Copy the run again from where it is whole, or begin another"
            raise UserError(msg)
        if self.place.leads:
            self.run.forget_metrics()
        return None

    def _fault(self, checkpoint: Checkpoint) -> str:
        """Take over a checkpoint; return what is wrong if that cannot be done."""
        try:
            if self.place.leads:
                checkpoint.verify()
            self._restore(checkpoint)
        except DamagedError as error:
            return str(error)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            why = (str(error).splitlines() or [""])[0]
            return f"{checkpoint.folder} does not fit this run ({type(error).__name__}: {why})"
        return ""

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state()
        load_weights(self.model, checkpoint.weights(str(self.place.device)))
        if self.average is not None:
            self.average = _copied(self.model)
            load_weights(self.model, state["weights"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.progress = Progress(**state["progress"])
        self.log.window = state["window"]
        self.watch.restore(state.get("watch", {}))
        self.told = set(state.get("told", ()))
        self.failed = [tuple(ids) for ids in state.get("failed", ())]

    def _settle(self, checkpoint: Checkpoint, damaged: Mapping[int, str]) -> None:
        """Let the folder be as it was when this checkpoint had just been saved."""
        aside = [self.run.set_aside(self.run.checkpoint(step)) for step in damaged]
        self.run.settle(checkpoint, self.settings.keep)
        self.run.forget_metrics_after(checkpoint.step)
        for why, folder in zip(damaged.values(), aside, strict=True):
            self.event(
                f"a checkpoint is damaged: {why}. The run goes on from the one of step {checkpoint.step}; it lies in {folder.name} now"
            )

    @property
    def description(self) -> str:
        """What `model.toml` says: how to build the model, and where it comes from."""
        return self.recipe.model_toml(self.progress.step)

    def event(self, message: str, step: int | None = None) -> None:
        """Tell the log and whoever watches. `step`: updates done when it will have happened, if one is under way."""
        if self.place.leads:
            self.log.write({"kind": "event", "step": self.progress.step if step is None else step, "message": message})
            tqdm.write(message)

    def _pass_on(self, loader: BatchLoader) -> None:
        """Tell what the devices could not read."""
        messages = self.place.gathered(list(loader.messages))
        for message in dict.fromkeys(itertools.chain(*messages)):
            if message not in self.told:
                self.told.add(message)
                self.event(message)
        loader.messages.clear()

    def _report(self, scalars: dict[str, float], loader: BatchLoader, bar: ProgressBar[int]) -> None:
        """Add an update to the log's window; at round steps write it out."""
        self.log.add(scalars)
        bar.update()
        if self.progress.step % self.settings.log_every:
            return
        self._pass_on(loader)
        record = self.log.close_window(loader.wait)
        if warning := self.watch.see(record):
            self.event(warning)
        if self.place.leads:
            self.log.write(
                {"kind": "train", "step": self.progress.step, "epoch": self.progress.epoch, **record, "skipped": self.progress.skipped}
            )
        shown = {"loss": "{:.2f}", "accuracy": "{:.3f}", "audio_rate": "{:.0f}x", "data_wait": "{:.0%}"}
        bar.note({name: form.format(record[name]) for name, form in shown.items() if name in record})

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.settings.precision == "bf16":
            return torch.autocast(self.place.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def _bar(self) -> ProgressBar[int]:
        return ProgressBar(
            what=self.recipe.name, unit="update", total=self.updates, initial=self.progress.step, leave=True, shown=self.place.leads
        )


def _dealt(batches: Iterable[Batch], place: Place) -> Iterator[tuple[Batch, float]]:
    """Deal batches out, one a device, round after round: this device's, and their weights.

    All devices must take part in every round, or those that share a model wait: where the last is short, some hear a batch for nothing.
    """
    left = iter(batches)
    while dealt := list(itertools.islice(left, place.world)):
        yield (dealt[place.rank], 1.0) if place.rank < len(dealt) else (dealt[0], 0.0)


def _copied(model: Trainable) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@contextlib.contextmanager
def _in_place_of(model: Trainable, average: dict[str, Tensor] | None) -> Iterator[None]:
    """Let a model have the weights of its average for a while, if there is one."""
    if average is None:
        yield
        return
    own = _copied(model)
    try:
        follow(model.state_dict(), average, 0.0)
        yield
    finally:
        follow(model.state_dict(), own, 0.0)


@contextlib.contextmanager
def _interruptible(place: Place) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the update under way is finished and saved; a second one stops at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for signals
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def catch(number: int, _frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        if place.leads:
            tqdm.write("stopping after this update and saving; once more to stop at once")

    for number in before:
        signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
