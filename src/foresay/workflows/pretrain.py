"""Pre-train a model: from a manifest and a recipe to a run folder."""

import dataclasses
import functools
import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from foresay import draws
from foresay.contracts import SpeechModel
from foresay.corpora.batches import BatchLoader, plan_batches, plan_groups
from foresay.corpora.labels import Clock, FrameLabels, LabelReader
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import Plan
from foresay.encoding.labels import make_labels
from foresay.errors import UserError
from foresay.files import finished
from foresay.runs import Data, Run
from foresay.settings import read_toml_file
from foresay.training.devices import Process, find_process, keep_freed_memory
from foresay.training.recipe import Recipe, differences, read_recipe, resolve
from foresay.training.trainer import Progress, Trainer
from foresay.workflows.warm_start import WarmStart, keep_origin


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What a run would be, measured on its first updates."""

    parameters: int
    updates: int
    audio_hours: float
    """Heard in all, repetitions counted."""
    epochs: float
    seconds_per_update: float
    memory_gib: float
    """Peak of the process, or of the GPU."""

    @property
    def hours(self) -> float:
        """The time the run will take."""
        return self.updates * self.seconds_per_update / 3600


def pretrain(
    recipe: str | Path,
    corpus: str | Path,
    run: str | Path,
    *,
    valid: str | Path | None = None,
    start: WarmStart | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
) -> Progress:
    """Train a model, or go on with a run that exists.

    `recipe`: a built-in name or a TOML file; `corpus`, `valid`: manifests; `start`: whose weights it begins with, instead of
    untrained ones; `overrides`: `section.key=value`.
    Returns how far the run is. A run begun with another recipe or on another corpus is refused: its name would lie.
    """
    resolved = read_recipe(recipe, overrides)
    folder = Run(Path(run))
    place = find_process(device)
    given = {"train": corpus} | ({"valid": valid} if valid else {})
    manifests = {purpose: Manifest.open(path) for purpose, path in given.items()}
    labels = _Labels(resolved, manifests, folder.folder / "labels", place)
    model = _build(resolved, place)
    origin = start.into(model) if start and not folder.checkpoints() else None
    trainer = _prepare(model, resolved, manifests["train"], manifests.get("valid"), folder, place, labels.reader)
    notes = [str(origin)] if origin else []
    if not place.leads:
        return trainer.fit()
    with folder.alone():
        notes += _enter(folder, resolved, {purpose: _described(manifest, given[purpose]) for purpose, manifest in manifests.items()})
        keep_origin(folder, start, origin)
        return trainer.fit(notes)


def rehearse(
    recipe: str | Path,
    corpus: str | Path,
    run: str | Path,
    *,
    start: WarmStart | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
    updates: int = 4,
) -> Rehearsal:
    """Do the first few updates of a run, keep nothing, and say what the whole would take."""
    resolved = read_recipe(recipe, overrides)
    place = find_process(device)
    manifest = Manifest.open(corpus)
    model = _build(resolved, place)
    if start:
        start.into(model)
    trainer = _prepare(model, resolved, manifest, None, Run(Path(run)), place, _no_labels)
    seconds = []
    with trainer.loader() as loader:
        for _, batches in itertools.islice(loader.updates(), updates):
            began = time.perf_counter()
            trainer.update(batches)
            seconds.append(time.perf_counter() - began)
    if place.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(place.device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    heard = trainer.updates * resolved.data.audio_per_update if "audio" in trainer.model.modalities else 0.0
    items = trainer.updates * resolved.data.batch
    return Rehearsal(
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        updates=trainer.updates,
        audio_hours=heard / 3600,
        epochs=items / len(manifest) if resolved.data.sampler == "items" else heard / float(manifest.durations.sum()),
        seconds_per_update=statistics.median(seconds[1:] or seconds),  # the first one warms up
        memory_gib=memory / 2**30,
    )


MakeReader: TypeAlias = Callable[[str, SpeechModel], LabelReader]
"""Makes what reads the labels of a manifest, by its purpose, for a model."""


@dataclasses.dataclass(frozen=True)
class _Labels:
    """The labels of a run, made when they are first read: then the run is known to be valid."""

    recipe: Recipe
    manifests: Mapping[str, Manifest]
    folder: Path
    place: Process

    def reader(self, purpose: str, model: SpeechModel) -> LabelReader:
        return self.made[purpose].reader(_clock(model))

    @functools.cached_property
    def made(self) -> dict[str, FrameLabels]:
        assert self.recipe.labels is not None  # noqa: S101 - or nobody would ask
        if self.place.leads:  # the others wait, and then find them made
            make_labels(self.recipe.labels, self.manifests, self.folder, seed=self.recipe.trainer.seed, device=str(self.place.device))
        self.place.wait()
        return {purpose: FrameLabels(self.folder / purpose, manifest) for purpose, manifest in self.manifests.items()}


def _no_labels(purpose: str, model: SpeechModel) -> LabelReader:  # noqa: ARG001 - of a rehearsal
    """All frames are of class 0: what an update costs does not depend on what is learnt."""
    clock = _clock(model)
    return lambda window: np.zeros(clock.frame_count(window.samples), np.int64)


def _clock(model: SpeechModel) -> Clock:
    layer = model.layer_names[-1]
    return Clock(
        model.sample_rate, model.first_center, model.hop(layer), lambda samples: int(model.frame_count(torch.tensor([samples]), layer)[0])
    )


def _build(recipe: Recipe, place: Process) -> SpeechModel:
    """Build the model, untrained, from the recipe's seed."""
    if place.device.type == "cpu":
        keep_freed_memory()
    draws.seed_torch("weights", recipe.trainer.seed)
    return recipe.build_model()


def _prepare(
    model: SpeechModel, recipe: Recipe, manifest: Manifest, held_out: Manifest | None, run: Run, place: Process, labels: MakeReader
) -> Trainer:
    if model.sample_rate != recipe.data.sample_rate:
        msg = f"the model hears {model.sample_rate} Hz, but data.sample_rate = {recipe.data.sample_rate}: set both alike"
        raise UserError(msg)
    if recipe.data.augment_future and not model.uses_targets:
        msg = (
            f"data.augment_future changes what is predicted, and {recipe.model} predicts nothing that is made of audio versions: leave it "
            "out (data.augment_past changes what is heard)"
        )
        raise UserError(msg)
    plan = plan_batches(manifest, recipe.data, seed=recipe.trainer.seed, group=model.group, modalities=model.modalities)

    def loader() -> BatchLoader:
        settings = recipe.trainer
        return BatchLoader(
            manifest,
            plan,
            labels=labels("train", model) if recipe.labels else None,
            rank=place.rank,
            world=place.world,
            workers=settings.workers,
            accumulate=settings.accumulate,
        )

    validation = _validation(recipe, model, held_out, labels) if held_out else None
    return Trainer(model, recipe, loader, validation, _updates(recipe, plan), run, place)


def _validation(recipe: Recipe, model: SpeechModel, manifest: Manifest, labels: MakeReader) -> Callable[[], BatchLoader]:
    """Make the loader of held-out audio, as recorded: the same groups every time, one a batch, on any number of devices."""
    plan = plan_groups(manifest, recipe.data, seed=recipe.trainer.seed, group=model.group, modalities=model.modalities)
    return lambda: BatchLoader(manifest, plan, labels=labels("valid", model) if recipe.labels else None, workers=recipe.trainer.workers)


def _updates(recipe: Recipe, plan: Plan) -> int:
    if recipe.trainer.steps is not None:
        return recipe.trainer.steps
    assert recipe.trainer.epochs is not None  # noqa: S101 - the settings see to it that there is one of the two
    return sum(plan.steps(epoch) for epoch in range(recipe.trainer.epochs))


def _enter(run: Run, recipe: Recipe, data: dict[str, Data]) -> list[str]:
    """Begin the run, or make sure that it is this recipe's and this corpus's; return what there is to say."""
    begun: dict[str, Data] = {}
    if run.recipe.exists():
        _refuse_other_recipe(run, recipe)
        begun = run.read_data()
        for purpose, first in begun.items():
            _refuse_other_data(run, purpose, first, data.get(purpose, first))
    elif finished(run.folder.iterdir()):
        msg = f"{run.folder} is not empty and is no run: it holds no recipe.toml. Choose another --run."
        raise UserError(msg)
    run.begin(recipe.toml(), begun | data)
    moved = [purpose for purpose in begun.keys() & data.keys() if begun[purpose].manifest != data[purpose].manifest]
    return [f"the same data, in another place: {data[purpose].manifest}, before {begun[purpose].manifest}" for purpose in sorted(moved)]


def _refuse_other_recipe(run: Run, recipe: Recipe) -> None:
    table = read_toml_file(run.recipe)
    model = table.get("model")
    begun = model.get("name") if isinstance(model, dict) else model
    found = [f"model.name: {begun!r} -> {recipe.model!r}"]
    if begun == recipe.model:  # what it is otherwise is not imported
        found = differences(resolve(table, recipe.name), recipe)
    if found:
        listed = "; ".join(found)
        msg = f"{run.folder} was begun with another recipe ({listed}). Choose another --run, or give the settings it was begun with."
        raise UserError(msg)


def _described(manifest: Manifest, given: str | Path) -> Data:
    """Say what a manifest holds; `given` is its path as the user wrote it."""
    return Data(str(given), len(manifest), round(float(manifest.durations.sum()) / 3600, 6), manifest.digest)


def _refuse_other_data(run: Run, purpose: str, first: Data, now: Data) -> None:
    """Data may have moved, but they must be the same: as many recordings, and the items of the manifest equal but for their paths."""
    alike = str(first) == str(now)
    if alike and first.digest in {None, now.digest}:
        return
    how = ", but other ids, times, speakers or texts, or in another order" if alike else ""
    option = "--corpus" if purpose == "train" else "--valid"
    msg = (
        f"{run.folder} was begun on another corpus ({first.manifest}: {first}, not {now.manifest}: {now}{how}). "
        f"Choose another --run, or give the {option} it was begun on."
    )
    raise UserError(msg)
