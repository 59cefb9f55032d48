"""The run folder: what a training run keeps, on disk. Files only; it knows no model and no loop.

    runs/acpc/
      recipe.toml          the resolved recipe
      data.toml            the manifests that it was trained and validated on
      metrics.jsonl        every logged step, validation and event
      results.jsonl        every evaluation             artifacts/*.npz   what reports draw
      checkpoints/step-000500/model.safetensors, state.pt
      model/model.safetensors, model.toml               what `foresay.load` reads
      report.html

A checkpoint is written to a temporary folder and renamed: it is there whole or not at all. Weights are safetensors, and the rest is
read with `weights_only`, so nothing is ever unpickled.
"""

import contextlib
import dataclasses
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.results import read_lines

WEIGHTS, STATE, DESCRIPTION = "model.safetensors", "state.pt", "model.toml"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A saved step. Weights and state are read when asked for."""

    folder: Path

    @property
    def step(self) -> int:
        """Updates done when it was saved."""
        return int(self.folder.name.removeprefix("step-"))

    def weights(self, device: str = "cpu") -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return safetensors.torch.load_file(self.folder / WEIGHTS, device=device)

    def state(self) -> dict[str, Any]:
        """Optimizer, random numbers, position in the data."""
        state: dict[str, Any] = torch.load(self.folder / STATE, weights_only=True, map_location="cpu")
        return state


class Run:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.folder / "recipe.toml"

    @property
    def data(self) -> Path:
        """What it is trained and validated on: in a table each, `manifest` as it was given, `recordings` and `hours`."""
        return self.folder / "data.toml"

    def checkpoints(self) -> list[Checkpoint]:
        """All complete checkpoints, oldest first."""
        return sorted((Checkpoint(f) for f in (self.folder / "checkpoints").glob("step-*")), key=lambda c: c.step)

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step, or an error that names those there are."""
        for checkpoint in self.checkpoints():
            if checkpoint.step == step:
                return checkpoint
        there = ", ".join(str(c.step) for c in self.checkpoints()) or "none"
        msg = f"{self.folder} has no checkpoint of step {step}; it keeps: {there} (trainer.keep says how many)"
        raise UserError(msg)

    def begin(self, recipe: str, data: str = "") -> None:
        """Make the folder; write its resolved recipe, and what it hears."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.recipe, recipe.encode())
        _write(self.data, data.encode())

    def save(self, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Any], description: str, keep: int) -> None:
        """Write a checkpoint whole, make it the run's model, and drop all but the newest `keep` checkpoints."""
        final = self.folder / "checkpoints" / f"step-{step:06d}"
        unfinished = final.with_name(f".unfinished-{final.name}")
        with self._explained(step, unfinished):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _write(unfinished / WEIGHTS, safetensors.torch.save({k: v.contiguous() for k, v in weights.items()}))
            buffer = io.BytesIO()
            torch.save(dict(state), buffer)
            _write(unfinished / STATE, buffer.getvalue())
            shutil.rmtree(final, ignore_errors=True)  # of an earlier run over the same steps
            unfinished.rename(final)
            self._publish(final / WEIGHTS, description)
        for old in self.checkpoints()[:-keep]:
            shutil.rmtree(old.folder, ignore_errors=True)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def forget_metrics_after(self, step: int) -> None:
        """Drop the lines of steps that a resumed run will do again."""
        path = self.folder / "metrics.jsonl"
        lines = [json.dumps(line) + "\n" for line in read_lines(path) if line["step"] <= step]
        _write(path, "".join(lines).encode())

    def _publish(self, weights: Path, description: str) -> None:
        model = self.folder / "model"
        model.mkdir(exist_ok=True)
        _write(model / DESCRIPTION, description.encode())
        linked = model / f".unfinished-{WEIGHTS}"
        linked.unlink(missing_ok=True)
        try:
            linked.hardlink_to(weights)  # the same bytes, not a second copy
        except OSError:
            shutil.copyfile(weights, linked)
        linked.replace(model / WEIGHTS)

    @contextlib.contextmanager
    def _explained(self, step: int, unfinished: Path) -> Iterator[None]:
        """Turn a full disk into a message; what was saved before stays as it is."""
        try:
            yield
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            last = self.checkpoints()
            kept = f"the checkpoint of step {last[-1].step} is whole" if last else "no checkpoint had been saved before"
            msg = (
                f"the disk is full: step {step} could not be saved in {self.folder} ({error.strerror}); {kept}. "
                "Free some space (or lower trainer.keep) and give the same command again: it goes on from there."
            )
            raise UserError(msg) from error


def _write(path: Path, content: bytes) -> None:
    """Write a file whole: to a neighbor first, flushed to the disk, then renamed."""
    unfinished = path.with_name(f".unfinished-{path.name}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
