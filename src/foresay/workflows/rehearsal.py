"""A rehearsal of a run: its first few updates, of which nothing is kept, and what the whole would take."""

import contextlib
import dataclasses
import itertools
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from foresay.contracts import Estimator, TokenModel, Trainable
from foresay.corpora.labels import LabelReader
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.runs import Run
from foresay.training.devices import Process, find_process
from foresay.training.recipe import LABELS, Recipe
from foresay.training.trainer import Trainer
from foresay.workflows.parts import Parts
from foresay.workflows.train import (
    Verb,
    build_model,
    check_verb,
    clock_of,
    completed,
    labelled_of,
    opened_corpus,
    prepare,
    refuse_more_classes,
)
from foresay.workflows.unit_texts import imagined_unit_texts
from foresay.workflows.warm_start import WarmStart, read_recipe_from


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What a run would be, measured on its first updates."""

    parameters: int
    updates: int
    audio_hours: float
    """Processed in all, repetitions counted."""
    epochs: float
    seconds_per_update: float
    memory_gib: float
    """Peak of the process, or of the GPU."""

    @property
    def hours(self) -> float:
        """The time the run will take."""
        return self.updates * self.seconds_per_update / 3600


def rehearse(
    verb: Verb,
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
    resolved = read_recipe_from(start, recipe, overrides, Run(Path(run)))
    check_verb(verb, resolved)
    if issubclass(resolved.kind, Estimator):
        msg = f"the model {resolved.model} is fitted in passes over the corpus: there are no updates to rehearse, leave out --dry-run"
        raise UserError(msg)
    with opened_corpus(resolved, corpus) as manifest:
        return _rehearsed(completed(resolved, manifest), manifest, Run(Path(run)), find_process(device), start, updates)


def _rehearsed(recipe: Recipe, manifest: Manifest, run: Run, process: Process, start: WarmStart | None, updates: int) -> Rehearsal:
    parts = Parts(recipe, {"train": manifest}, run, process, None)
    model = build_model(recipe, process, parts)
    if LABELS in recipe.parts:
        refuse_more_classes(parts.tokenizer().vocabulary, model)
    if start:
        start.into(model)
    labelled = labelled_of(model, recipe, {"train": manifest})
    with imagined_unit_texts(model, manifest) if isinstance(model, TokenModel) else contextlib.nullcontext(manifest) as learnt:
        trainer = prepare(model, recipe, {"train": learnt}, run, process, no_labels, labelled)
        return _measured(trainer, recipe, manifest, process, updates)


def _measured(trainer: Trainer, recipe: Recipe, manifest: Manifest, process: Process, updates: int) -> Rehearsal:
    """Do the first updates."""
    seconds, items = [], 0
    with trainer.loader() as loader:
        for _, batches in itertools.islice(loader.updates(), updates):
            began = time.perf_counter()
            trainer.update(batches)
            seconds.append(time.perf_counter() - began)
            items += sum(len(batch.ids) for batch in batches)
    if process.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(process.device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    audio = trainer.updates * recipe.data.audio_per_update if "audio" in trainer.model.needs else 0.0
    counted = recipe.data.sampler == "items" or not audio
    return Rehearsal(
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        updates=trainer.updates,
        audio_hours=audio / 3600,
        epochs=trainer.updates * items / len(seconds) / len(manifest) if counted else audio / float(manifest.durations.sum()),
        seconds_per_update=statistics.median(seconds[1:] or seconds),  # the first one warms up
        memory_gib=memory / 2**30,
    )


def no_labels(purpose: str, model: Trainable) -> LabelReader:  # noqa: ARG001 - of a rehearsal
    """All frames are of class 0: what an update costs does not depend on what is learnt."""
    clock = clock_of(model)
    return lambda window: np.zeros(clock.frame_count(window.samples), np.int64)
