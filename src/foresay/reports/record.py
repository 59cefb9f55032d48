"""The contents of a run folder: its recipe, its metrics, its results, the examples that evaluation kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.errors import UserError
from foresay.results import EXAMPLE, SOUNDS, Result, load_artifact, read_lines, read_results, with_arrays
from foresay.settings import Table, from_table, read_toml_file

FILES = ("recipe.toml", "metrics.jsonl", "results.jsonl")
"""A folder that holds one of these is a run (or what `foresay evaluate --out` made)."""


@dataclass(frozen=True)
class Record:
    """A run, as read from its folder. Whatever is not there yet is empty."""

    name: str
    """What the page calls it: the folder's name, with as many parents as distinguish the runs."""
    folder: Path
    recipe: Table
    """The resolved recipe: section -> key -> value."""
    data: Table
    """The manifests it was trained on, as the run noted them: split -> `manifest` and what it holds."""
    lines: tuple[dict[str, Any], ...]
    """The lines of metrics.jsonl."""
    results: tuple[Result, ...]
    examples: tuple[dict[str, NDArray[Any]], ...]
    """The arrays of artifacts/example-1.npz and so on."""
    sounds: tuple[dict[str, NDArray[Any]], ...] = ()
    """The arrays of artifacts/sounds-1.npz and so on."""
    recipe_name: str | None = None
    """What its recipe is called, as model/model.toml says from the first checkpoint on."""

    def lines_of(self, kind: str) -> list[dict[str, Any]]:
        """Return the logged lines of a kind: `train`, `valid` or `event`."""
        return [line for line in self.lines if line.get("kind") == kind]

    def curve(self, kind: str, scalar: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return steps (N,) and values (N,) of a scalar; what is not finite is NaN, and drawn as a gap."""
        points = [(line["step"], line[scalar]) for line in self.lines_of(kind) if isinstance(line.get(scalar), int | float)]
        steps, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
        return steps, np.where(np.isfinite(values), values, np.nan)

    @cached_property
    def scalars(self) -> list[str]:
        """Names of what was logged, in the order of their first appearance, step and epoch left out, and of pictures the audio."""
        lines = self.lines_of("train") + self.lines_of("valid")
        names = dict.fromkeys(k for line in lines for k, v in line.items() if isinstance(v, int | float) and not isinstance(v, bool))
        left_out = {"step", "epoch"} if self.has_audio else {"step", "epoch", "audio_rate"}
        return [name for name in names if name not in left_out]

    @property
    def model(self) -> str:
        """The model's name in the recipe, or the run's own where there is no recipe."""
        return str(self.recipe.get("model", {}).get("name", self.name))

    @property
    def step(self) -> int:
        """Updates done, according to the log."""
        return max((int(line["step"]) for line in self.lines if "step" in line), default=0)

    @property
    def planned(self) -> int | None:
        """Updates that the recipe asks for; None where it counts in epochs, or where there is none."""
        steps: int | None = self.recipe.get("trainer", {}).get("steps")
        return steps

    @property
    def has_audio(self) -> bool:
        """Whether it is trained on audio, and not on pictures or texts alone."""
        maybe_not = self.recipe.get("data", {}).get("sampler") in {"items", "texts"}
        return not maybe_not or bool((self.curve("train", "audio_rate")[1] > 0).any())

    @property
    def audio_seconds(self) -> float:
        """Audio used in training, repetitions counted: updates x windows per update x window, or about updates x `data.seconds`.

        Of items it is the most that can have been; of pictures alone, none.
        """
        data = self.recipe.get("data", {})
        if not self.has_audio:
            return 0.0
        if data.get("sampler") in {"utterances", "transcripts"}:
            return float(self.step * data.get("seconds", 0.0))
        return float(self.step * data.get("batch", 0) * data.get("window", 0) / data.get("sample_rate", 1))

    @property
    def training_seconds(self) -> float:
        """What training took by its own rates, to the logged step: audio of each stretch / audio seconds per second."""
        steps, rates = self.curve("train", "audio_rate")
        usable = rates > 0
        if not usable.any() or not self.step:
            return 0.0
        stretches = np.diff(steps[usable], prepend=0.0)
        return float(self.audio_seconds / self.step * (stretches / rates[usable]).sum())


def read_records(folders: Sequence[Path]) -> list[Record]:
    """Read runs, each once and in the order given."""
    if not folders:
        msg = "which runs? Name one or more folders, such as runs/demo-acpc"
        raise UserError(msg)
    distinct = {folder.resolve(): folder for folder in folders}
    for folder in distinct.values():
        _check(folder)
    names = distinct_names(list(distinct))
    return [_read(folder, name) for folder, name in zip(distinct.values(), names, strict=True)]


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Name folders by their last parts, as many as distinguish them.

    >>> distinct_names([Path("/a/monday/acpc"), Path("/a/friday/acpc")])
    ['monday/acpc', 'friday/acpc']
    """
    longest = max(len(folder.parts) for folder in folders)
    candidates = (["/".join(folder.parts[-depth:]) for folder in folders] for depth in range(1, longest + 1))
    return next(names for names in candidates if len(set(names)) == len(names))


def _read(folder: Path, name: str) -> Record:
    return Record(
        name=name,
        folder=folder,
        recipe=_sections(folder / "recipe.toml"),
        data=_tables(folder / "data.toml"),
        lines=tuple(_logged(folder / "metrics.jsonl")),
        results=tuple(with_arrays(folder, read_results(folder / "results.jsonl"))),
        examples=tuple(_examples(folder, EXAMPLE)),
        sounds=tuple(_examples(folder, SOUNDS)),
        recipe_name=_name(folder / "model" / "model.toml"),
    )


def _table(path: Path) -> Table:
    return read_toml_file(path) if path.exists() else {}


def _name(path: Path) -> str | None:
    name = _table(path).get("recipe")
    return name if isinstance(name, str) else None


def _tables(path: Path) -> Table:
    """Read a file of tables."""
    content = _table(path)
    for name, inner in content.items():
        if not isinstance(inner, dict):
            msg = f"{path}: [{name}] must be a table, not {str(inner)[:80]!r}: was it edited by hand?"
            raise UserError(msg)
    return content


def _sections(path: Path) -> Table:
    """Read a recipe, as far as a report speaks of it: tables of settings, and those of its data and its length numbers."""
    recipe = _tables(path)
    data = from_table(_Length, {k: v for k, v in recipe.get("data", {}).items() if k in _KEYS}, f"{path}: data")
    steps = recipe.get("trainer", {}).get("steps")
    if min(data.batch, data.window, data.seconds, data.sample_rate - 1) < 0 or not (steps is None or type(steps) is int):
        msg = f"{path}: trainer.steps and the settings of data must be numbers, and not below 0: was it edited by hand?"
        raise UserError(msg)
    return recipe


@dataclass(frozen=True)
class _Length:
    """The settings of data that say how much audio an update takes."""

    batch: int = 0
    window: int = 0
    seconds: float = 0.0
    sample_rate: int = 1
    sampler: str = ""


_KEYS = tuple(field.name for field in fields(_Length))


def _logged(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a log, each of which has its step."""
    for line in read_lines(path):
        if type(line.get("step")) is not int or type(line.get("epoch", 0)) is not int or type(line.get("message", "")) is not str:
            msg = f"{path}: a line has no step, or an epoch or a message of another kind ({str(line)[:80]}): was it edited by hand?"
            raise UserError(msg)
        yield line


def _examples(folder: Path, kind: str) -> Iterator[dict[str, NDArray[Any]]]:
    for number in count(1):
        arrays = load_artifact(folder, f"{kind}{number}")
        if arrays is None:
            return
        yield arrays


def _check(folder: Path) -> None:
    """Refuse what is not a run, and say what it probably is."""
    if any((folder / name).exists() for name in FILES):
        return
    wanted = "A run is the folder that `foresay pretrain --run DIR` made: it holds recipe.toml and metrics.jsonl."
    nearby = _runs_in(folder) or _runs_in(folder.parent)
    if "@" in folder.name and not folder.exists():
        msg = f"{folder} names one step of a run, but a report is about a whole run: foresay report {str(folder).rpartition('@')[0]}"
    elif not folder.exists():
        msg = f"there is no run {folder}. {wanted} {_meant(nearby)}"
    elif not folder.is_dir():
        msg = f"{folder} is a file, not a run. {wanted} {_meant(nearby)}"
    elif _runs_in(folder):
        msg = f"{folder} is not a run but a folder of runs: name them one by one. {_meant(nearby)}"
    elif (inside := next((p for p in folder.resolve().parents if (p / "recipe.toml").exists()), None)) is not None:
        msg = f"{folder} lies inside a run: name the run itself: foresay report {inside}"
    else:
        msg = f"{folder} is not a run: none of {', '.join(FILES)} is in it. {wanted} {_meant(nearby)}"
    raise UserError(msg.rstrip())


def _runs_in(folder: Path) -> list[Path]:
    return sorted(recipe.parent for recipe in folder.glob("*/recipe.toml")) if folder.is_dir() else []


def _meant(runs: Sequence[Path]) -> str:
    return f"Did you mean: foresay report {' '.join(map(str, runs[:4]))}" if runs else ""
