"""The run folder: what a training run keeps, on disk. Files only; it knows no model and no loop.

    runs/acpc/
      recipe.toml          the resolved recipe
      data.toml            the manifests that it was trained and validated on
      metrics.jsonl        every logged step, validation and event
      results.jsonl        every evaluation             artifacts/*.npz   what reports draw
      checkpoints/step-000500/model.safetensors, model.toml, state.pt, digests.toml
      model/model.safetensors, model.toml, digests.toml           the newest checkpoint's, what `foresay.load` reads
      report.html

A checkpoint, and the model, are written to a temporary folder and renamed: they are there whole or not at all, whenever the process is
killed. Weights are safetensors, and the rest is read with `weights_only`, so nothing is ever unpickled. `digests.toml` holds the SHA-256 of
each file beside it, so that a damaged one is noticed.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.files import UNFINISHED, discard, is_disk_full, write_bytes, write_text
from foresay.locks import exclusive
from foresay.results import read_lines
from foresay.settings import Table, from_table, read_toml_file, to_table, write_toml

WEIGHTS, STATE, DESCRIPTION, DIGESTS = "model.safetensors", "state.pt", "model.toml", "digests.toml"
MODEL = (WEIGHTS, DESCRIPTION)


class DamagedError(UserError):
    """A file of a checkpoint or a model is not what was written."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A saved step. Weights and state are read when asked for."""

    folder: Path

    @property
    def step(self) -> int:
        """Updates done when it was saved."""
        return int(self.folder.name.removeprefix("step-"))

    def verify(self) -> None:
        """Compare its files with their digests; raise a `DamagedError` for one that differs."""
        verify(self.folder, (WEIGHTS, STATE) if read_digests(self.folder) is None else (WEIGHTS, STATE, DESCRIPTION))

    def weights(self, device: str = "cpu") -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return read_weights(self.folder / WEIGHTS, device)

    def state(self) -> dict[str, Any]:
        """Optimizer, random numbers, position in the data."""
        path = self.folder / STATE
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # whatever the reader makes of a damaged file
            msg = f"{path} cannot be read ({_first_line(error)})"
            raise DamagedError(msg) from error
        if not isinstance(state, dict):
            msg = f"{path} holds no state of a run"
            raise DamagedError(msg)
        return state


@dataclasses.dataclass(frozen=True)
class Data:
    """A manifest, as a run notes what it is trained or validated on."""

    manifest: str
    """Its path, as it was given."""
    recordings: int
    hours: float
    digest: str | None = None
    """Of the manifest's items; runs of older versions have none."""

    def __str__(self) -> str:
        return f"{self.recordings:,} recordings, {self.hours} h"


class Run:
    """One run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def labels(self) -> Path:
        """Labels of what it was trained on, a folder for each manifest, if it learns from labels."""
        return self.folder / "labels"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.folder / "recipe.toml"

    @property
    def data(self) -> Path:
        """What it is trained and validated on, a table each."""
        return self.folder / "data.toml"

    def read_data(self) -> dict[str, Data]:
        """Read what it is trained (`train`) and validated on (`valid`); nothing where that is not known."""
        table = read_toml_file(self.data) if self.data.exists() else {}
        if any(not isinstance(data, dict) for data in table.values()):
            msg = f"{self.data} must hold a table for each manifest: was it edited by hand?"
            raise UserError(msg)
        return {purpose: from_table(Data, data, f"{self.data}: {purpose}") for purpose, data in table.items()}

    def checkpoints(self) -> list[Checkpoint]:
        """All complete checkpoints, oldest first."""
        folders = (f for f in (self.folder / "checkpoints").glob("step-*") if f.name.removeprefix("step-").isdecimal())
        return sorted(map(Checkpoint, folders), key=lambda c: c.step)

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step, or an error that names those there are."""
        for checkpoint in self.checkpoints():
            if checkpoint.step == step:
                return checkpoint
        there = ", ".join(str(c.step) for c in self.checkpoints()) or "none"
        msg = f"{self.folder} has no checkpoint of step {step}; it keeps: {there} (trainer.keep says how many)"
        raise UserError(msg)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Let no other process train here meanwhile. Whoever reads need not ask.

        Raises:
            UserError: another one does; the message names it.
        """
        return exclusive(self.folder, "Wait until it has ended, stop it, or choose another --run")

    def begin(self, recipe: str, data: Mapping[str, Data] | None = None) -> None:
        """Make the folder; write its resolved recipe, and its corpora."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.recipe, recipe)
        write_text(self.data, write_toml({purpose: to_table(one) for purpose, one in (data or {}).items()}))

    def save(self, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Any], description: str, keep: int) -> None:
        """Write a checkpoint whole, make it the run's model, and drop all but the newest `keep` checkpoints."""
        final = self.folder / "checkpoints" / f"step-{step:06d}"
        unfinished = final.with_name(f"{UNFINISHED}{final.name}")
        with self._explained(step, unfinished):
            buffer = io.BytesIO()
            torch.save(dict(state), buffer)
            _write_folder(
                unfinished,
                {
                    WEIGHTS: safetensors.torch.save({k: v.contiguous() for k, v in weights.items()}),
                    DESCRIPTION: description.encode(),
                    STATE: buffer.getvalue(),
                },
            )
            discard(final)  # of an earlier run over the same steps
            unfinished.rename(final)
            self.settle(Checkpoint(final), keep)

    def settle(self, newest: Checkpoint, keep: int) -> None:
        """Make a checkpoint the run's model, if it is not, drop all but the newest `keep`, and whatever was never finished."""
        self._publish(newest)
        for old in self.checkpoints()[:-keep]:
            discard(old.folder)
        for left in (*(self.folder / "checkpoints").glob(f"{UNFINISHED}*"), *self.folder.glob(f"{UNFINISHED}*model")):
            shutil.rmtree(left)

    def set_aside(self, damaged: Checkpoint) -> Path:
        """Take a damaged checkpoint out of the line; return where it lies then."""
        aside = damaged.folder.with_name(f"damaged-{damaged.folder.name}")
        discard(aside)
        return damaged.folder.rename(aside)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def forget_metrics_after(self, step: int) -> None:
        """Drop the lines of steps that a resumed run will do again."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            lines = list(read_lines(path))
            if not all(type(line.get("step")) is int for line in lines):
                msg = f"{path} holds a line without a step: was it edited by hand? If it is not needed, delete the file and go on"
                raise UserError(msg)
            write_text(path, "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))

    def forget_metrics(self) -> None:
        """Drop all lines: the run begins."""
        (self.folder / "metrics.jsonl").unlink(missing_ok=True)

    def _publish(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint's description and weights the folder `model`, both at once."""
        model = self.folder / "model"
        if not (checkpoint.folder / DESCRIPTION).exists():
            return  # older versions kept the description in `model` only
        known = read_digests(checkpoint.folder) or {}
        digests = {name: known.get(name) or _digest(checkpoint.folder / name) for name in MODEL}
        if _is(model, digests):
            return
        unfinished = self.folder / f"{UNFINISHED}model"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name in MODEL:
            _link(checkpoint.folder / name, unfinished / name)
        write_text(unfinished / DIGESTS, write_toml(digests))
        discard(model)  # who reads in this moment finds the checkpoint
        unfinished.rename(model)

    @contextlib.contextmanager
    def _explained(self, step: int, unfinished: Path) -> Iterator[None]:
        """Turn a full disk into a message; what was saved before stays as it is."""
        try:
            yield
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not is_disk_full(error):
                raise
            last = self.checkpoints()
            kept = f"the checkpoint of step {last[-1].step} is whole" if last else "no checkpoint had been saved before"
            msg = (
                f"the disk is full: step {step} could not be saved in {self.folder} ({error.strerror or error}); {kept}. "
                "Free some space (or lower trainer.keep) and give the same command again: it goes on from there."
            )
            raise UserError(msg) from error


def write_model(folder: Path, weights: Mapping[str, Tensor], description: str) -> None:
    """Write a model folder, whole, where there is none or an empty one."""
    unfinished = folder.with_name(f"{UNFINISHED}{folder.name}")
    content = safetensors.torch.save({name: value.contiguous() for name, value in weights.items()})
    _write_folder(unfinished, {WEIGHTS: content, DESCRIPTION: description.encode()})
    if folder.exists():
        folder.rmdir()
    unfinished.rename(folder)


def verify(folder: Path, names: Sequence[str]) -> None:
    """Compare files of a checkpoint or a model folder with their digests; where a folder has none, only see that the files are there.

    It reads them once, at a gigabyte a second or more.

    Raises:
        DamagedError: a file is missing, or not what was written.
    """
    digests = read_digests(folder)
    for name in names:
        if not (folder / name).is_file():
            msg = f"{folder / name} is missing: was the folder copied whole?"
            raise DamagedError(msg)
        if digests is not None and digests.get(name) != _digest(folder / name):
            msg = (
                f"{folder / name} is not what was written: its SHA-256 is not that in {DIGESTS} beside it. Were the files "
                "copied together, whole? Other causes: a damaged disk, an edit by hand"
            )
            raise DamagedError(msg)


def read_digests(folder: Path) -> Table | None:
    """Read the SHA-256 of each file of a folder; None where older versions wrote none."""
    path = folder / DIGESTS
    if not path.exists():
        return None
    try:
        return read_toml_file(path)
    except UserError as error:
        raise DamagedError(str(error)) from error


def read_weights(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a safetensors file: tensors by name.

    Raises:
        DamagedError: it is none.
    """
    try:
        return safetensors.torch.load_file(path, device=device)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        msg = f"{path} cannot be read ({_first_line(error)})"
        raise DamagedError(msg) from error


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files, and their digests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    digests: Table = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_text(folder / DIGESTS, write_toml(digests))


def _is(model: Path, digests: Table) -> bool:
    """Whether a folder holds the model with these digests, whole."""
    try:
        if read_digests(model) != digests:
            return False
        verify(model, MODEL)
    except UserError:
        return False
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)  # the same bytes, not a second copy
    except OSError:
        shutil.copyfile(source, target)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
