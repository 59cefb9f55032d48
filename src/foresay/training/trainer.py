"""The training loop. It knows contracts, not models; all that shapes the learning is a pure function of the recipe and the step.

    for update in loader:                       planned from (seed, epoch, step) alone
        begin it                                `update.py`: gradient and step of each phase; the device may be at work on several
        log, validate, save                     at round steps, and only then wait for the device; Ctrl-C saves too

An update whose loss or gradient is not finite is left out by the device itself, and counted when it is read; three in a row end the run.
A run that was killed goes on from its last checkpoint as if nothing had happened: on the CPU bit for bit.
"""

import contextlib
import dataclasses
import itertools
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from foresay import draws
from foresay.building import describe
from foresay.contracts import Batch, Trainable
from foresay.corpora.batches import BatchLoader
from foresay.errors import UserError
from foresay.layers.moving_average import early, follow
from foresay.progress import ProgressBar
from foresay.runs import Checkpoint, DamagedError, Run
from foresay.settings import Table, write_toml
from foresay.training.collapse import CollapseWatch
from foresay.training.compiling import compile_model
from foresay.training.devices import Process, give_back_freed_memory
from foresay.training.logs import MetricsLog
from foresay.training.parallel import load_weights, whole
from foresay.training.plateau import PlateauWatch
from foresay.training.recipe import Recipe
from foresay.training.tally import Tally
from foresay.training.update import Outcome, Read, Updater
from foresay.version import __version__

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
    """Updates left out because loss or gradient were not finite, or there was nothing to learn."""
    overflowed: int = 0
    """Updates of fp16 left out because the loss scale was too high, which is how it is found."""


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
        place: Process,
    ) -> None:
        """`loader` and `validation` open the audio to learn from and to test on; `updates` is how many there will be."""
        self.table = describe(model)
        self.model = model.to(place.device)
        self.model.updates, self.model.seed = updates, recipe.trainer.seed
        self.recipe, self.settings = recipe, recipe.trainer
        self.loader, self.validation, self.updates, self.run, self.place = loader, validation, updates, run, place
        if self.settings.compile:
            compile_model(self.model, any_length=recipe.data.sampler in {"utterances", "transcripts", "texts"})
        self.updater = Updater(self.model, recipe, updates, place)
        self.begun: list[Outcome] = []
        self.average = None if self.settings.average is None else _copied(self.model)
        self.progress = Progress()
        self.log = MetricsLog(run, dataclasses.replace(self.settings, tensorboard=False, wandb=False))  # until the run begins
        self.watch, self.plateau = CollapseWatch(), PlateauWatch()
        self.failed: list[tuple[str, ...]] = []
        self.reported: set[str] = set()
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
            self.log.start_clock()
            for planned, batches in loader.updates(now.epoch, now.position, now.step):
                self.begin(batches)
                now.step, now.epoch, now.position = now.step + 1, planned.epoch, planned.step + 1
                bar.update()
                last = now.step >= self.updates
                stop = self._asked_to_stop(interrupted)
                self._do_what_is_due(loader, bar, ends=stop or last)
                if stop and not last:
                    msg = (
                        f"stopped at update {now.step} of {self.updates}; saved in {self.run.folder}. The same command goes on from there."
                    )
                    raise KeyboardInterrupt(msg)
                if last:
                    break
        return self.progress

    def _do_what_is_due(self, loader: BatchLoader, bar: ProgressBar[int], *, ends: bool) -> None:
        """Log, validate and save after an update, if it is one of those or the last of this process."""
        step, every = self.progress.step, self.settings
        logs, validates, saves = (step % period == 0 for period in (every.log_every, every.validate_every, every.save_every))
        if logs or validates or saves or ends:
            self._catch_up(loader)
        if logs:
            self._report(bar)
        if self.validation and (validates or step >= self.updates):
            self.validate()
        if saves or ends:
            self.save()

    def begin(self, batches: Sequence[Batch]) -> None:
        """Begin an update over this device's micro-batches, which may still be under way when this returns: `finish` waits for it."""
        draws.seed_torch("dropout", self.settings.seed, self.progress.step, self.place.rank)
        self.begun.append(self.updater.begin(batches, self.progress.step))
        if self.average is not None and self.settings.average is not None:
            learnt = {name for name, _ in self.model.named_parameters()}
            follow(self.average, self.model.state_dict(), early(self.settings.average, self.progress.step), learnt)

    def finish(self) -> list[dict[str, float]]:
        """Wait for the updates that were begun; return the scalars of each.

        Raises:
            UserError: loss or gradient was not finite in several updates in a row.
        """
        done, self.begun = self.updater.read(self.begun), []
        for one in done:
            self.progress.overflowed += one.flags["overflowed"]
            if one.flags["bad"] or one.flags["nothing"]:
                self.progress.skipped += 1
                why = "loss or gradient not finite" if one.flags["bad"] else "no term of the loss had anything to count"
                self.event(f"update {one.step + 1} skipped: {why}", one.step + 1)
            if one.flags["bad"]:
                self._fail(one)
            elif not any(one.flags.values()):
                self.failed.clear()
        return [one.scalars for one in done]

    def update(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Do one update over this device's micro-batches, and wait for it; return its scalars."""
        self.begin(batches)
        return self.finish()[-1]

    def _fail(self, one: Read) -> None:
        """Take in an update whose loss or gradient is not finite; stop if that goes on."""
        self.failed.append(one.ids)
        if len(self.failed) >= NON_FINITE_LIMIT:
            names = "; ".join(", ".join(ids[:4]) + (", …" if len(ids) > 4 else "") for ids in self.failed)  # noqa: PLR2004
            msg = (
                f"{NON_FINITE_LIMIT} updates in a row gave a loss or gradient that is not finite, the last at update {one.step + 1}. "
                f"Their audio: {names}. Usual causes: optimizer.lr too high, no warm-up, broken audio (`foresay corpus check` finds it). "
                "Earlier checkpoints are untouched."
            )
            raise UserError(msg)

    def validate(self) -> dict[str, float]:
        """Measure the loss on held-out audio: the first batches of a fixed plan, dealt out to the devices; no dropout, weights averaged.

        As in training: of each term the sum over all batches by the count of all.
        """
        assert self.validation is not None  # noqa: S101 - the caller looked
        self.model.eval()
        tallies = {phase: Tally(self.place) for phase in self.model.phases}
        with self.validation() as loader, torch.no_grad(), _in_place_of(self.model, self.average), self.updater.autocast():
            held_out = (batch for _, (batch,) in itertools.islice(loader.one_epoch(), self.settings.validate_batches))
            for batch, share in _dealt(held_out, self.place):
                moved = batch.to(self.place.device)
                for phase, tally in tallies.items():
                    tally.add(self.model(moved, self.progress.step, phase), share)
        means: dict[str, float] = {}
        for phase, tally in tallies.items():
            loss, scalars = tally.together()[1:]
            prefix = f"{phase}_" if len(tallies) > 1 else ""
            numbers = {"loss": float(loss)} | {n: number for n, value in scalars.items() if not math.isnan(number := float(value))}
            means |= {f"{prefix}{name}": number for name, number in numbers.items()}
        if self.place.leads:
            self.log.write({"kind": "valid", "step": self.progress.step, **means})
        return means

    def save(self) -> None:
        """Write a checkpoint that this run can go on from exactly."""
        weights = whole(self.model.state_dict(), self.place)
        state = {
            "progress": dataclasses.asdict(self.progress),
            **self.updater.state(),
            "window": self.log.window,
            "watch": self.watch.state(),
            "plateau": self.plateau.state(),
            "told": sorted(self.reported),
            "failed": [list(ids) for ids in self.failed],
        }
        if self.average is not None:  # what a run keeps as its model is the average
            state["weights"], weights = weights, whole(self.average, self.place)
        if self.place.leads:
            description = described(self.recipe.name, self.progress.step, self.table)
            self.run.save(self.progress.step, weights, state, description, self.settings.keep)
        give_back_freed_memory()

    def resume(self) -> Checkpoint | None:
        """Go back to the newest checkpoint that can be read, if there is one; those that cannot are set aside, and reported.

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
        self.updater.load(state)
        self.progress = Progress(**state["progress"])
        self.log.window = state["window"]
        self.watch.restore(state.get("watch", {}))
        self.plateau.restore(state.get("plateau", {}))
        self.reported = set(state.get("told", ()))
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

    def event(self, message: str, step: int | None = None) -> None:
        """Write to the log and to the watchers; `step`: that it belongs to, or the last one done."""
        if self.place.leads:
            self.log.write({"kind": "event", "step": self.progress.step if step is None else step, "message": message})
            tqdm.write(message)

    def _asked_to_stop(self, interrupted: Sequence[int]) -> bool:
        """Whether somebody interrupted this process or, at logged steps, when all wait for each other anyway, another one."""
        if self.place.world == 1:
            return bool(interrupted)
        logs = self.progress.step % self.settings.log_every == 0
        return logs and self.place.summed([float(bool(interrupted))])[0] > 0

    def _catch_up(self, loader: BatchLoader) -> None:
        """Wait for the updates that were begun, put them into the log's window, and report what the devices could not read."""
        for scalars in self.finish():
            self.log.add(scalars)
        self.log.pass_time(loader.wait)
        messages = self.place.gathered(list(loader.messages))
        for message in dict.fromkeys(itertools.chain(*messages)):
            if message not in self.reported:
                self.reported.add(message)
                self.event(message)
        loader.messages.clear()

    def _report(self, bar: ProgressBar[int]) -> None:
        """Write out the log's window."""
        record = self.log.close_window()
        for warning in filter(None, (self.watch.watch(record), self.plateau.watch(record))):
            self.event(warning)
        if self.place.leads:
            left_out = {"skipped": self.progress.skipped}
            if self.settings.precision == "fp16":
                left_out["overflowed"] = self.progress.overflowed
            self.log.write({"kind": "train", "step": self.progress.step, "epoch": self.progress.epoch, **record, **left_out})
        shown = {"loss": "{:.2f}", "accuracy": "{:.3f}", "audio_rate": "{:.0f}x", "data_wait": "{:.0%}"}
        bar.note({name: form.format(record[name]) for name, form in shown.items() if name in record})

    def _bar(self) -> ProgressBar[int]:
        return ProgressBar(
            what=self.recipe.name, unit="update", total=self.updates, initial=self.progress.step, leave=True, shown=self.place.leads
        )


def described(recipe: str, step: int, model: Table) -> str:
    """Return what `model.toml` says: how to build the model, and where it comes from."""
    return write_toml({"recipe": recipe, "step": step, "version": __version__, "model": model})


def _dealt(batches: Iterable[Batch], place: Process) -> Iterator[tuple[Batch, float]]:
    """Deal batches out, one a device, round after round: this device's, and their weights.

    All devices must take part in every round, or those that share a model wait: where the last is short, some compute a batch for nothing.
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
def _interruptible(place: Process) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the update under way is finished and saved; a second one stops at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for signals
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def catch(number: int, _frame: object) -> None:
        if caught:
            msg = "stopped at once: the newest checkpoint is whole, and the same command goes on from there"
            raise KeyboardInterrupt(msg)
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
