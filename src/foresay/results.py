"""Results and artifacts: what was measured, a line of JSON each, and arrays to draw from. Files only; nothing here imports torch."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from foresay.errors import UserError
from foresay.version import __version__

EXAMPLE = "example-"
"""What the names of artifacts begin with that hold an utterance each, as a model hears it; a number follows, from 1."""


@dataclasses.dataclass(frozen=True)
class Result:
    """One number, with all that is needed to know what it is: a line of `results.jsonl`."""

    model: str
    """The run or baseline measured; its untrained copy is `NAME (untrained)`."""
    measure: str
    protocol: str
    metric: str
    layer: str
    split: str
    value: float
    low: float | None
    """Lower end of the 95 % interval; None where there is none (a count, a size)."""
    high: float | None
    corpus: str
    step: int | None
    """Updates the model was trained for; None for what is not trained."""
    seed: int
    seconds: float
    """What the measurement took."""
    version: str = __version__
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    draws: npt.NDArray[np.float64] | None = dataclasses.field(default=None, repr=False, compare=False)
    """The value with other utterances, drawn again and again: what the interval was taken from. Not in the line, but in an artifact."""


def append_results(path: Path, results: list[Result]) -> None:
    """Add lines to a `results.jsonl`, made if it is not there. A line that a kill cut short is dropped first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.read_bytes() if path.exists() else b""
    if not written.endswith(b"\n"):
        path.write_bytes(written[: written.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(_line(result)) + "\n" for result in results)


def _line(result: Result) -> dict[str, Any]:
    line = dataclasses.asdict(dataclasses.replace(result, draws=None))
    del line["draws"]
    return line


def read_results(path: Path) -> list[Result]:
    """Read a `results.jsonl`; a file that is not there holds no results."""
    known = {f.name for f in dataclasses.fields(Result)}
    return [Result(**{k: v for k, v in line.items() if k in known}) for line in read_lines(path)]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects of a JSON Lines file, one a line. A last line cut short by a kill is left out."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            msg = f"{path}, line {number} is not JSON ({error.msg}): was the file edited by hand?"
            raise UserError(msg) from error


def save_draws(folder: Path, results: Iterable[Result]) -> None:
    """Keep the draws of results, by their fingerprint; those kept before stay."""
    by_fingerprint: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for result in results:
        if result.draws is not None:
            by_fingerprint.setdefault(result.details["fingerprint"], {})[_which(result)] = result.draws.astype(np.float32)
    for stamp, draws in by_fingerprint.items():
        name = f"draws-{stamp}"
        save_artifact(folder, name, {**(load_artifact(folder, name) or {}), **draws})


def load_draws(folder: Path, result: Result) -> npt.NDArray[np.float64] | None:
    """Read the draws of a result back, or None where there are none."""
    kept = load_artifact(folder, f"draws-{result.details.get('fingerprint')}") or {}
    found = kept.get(_which(result))
    return None if found is None else found.astype(np.float64)


def _which(result: Result) -> str:
    return f"{result.layer}|{result.metric}|{result.split}"


def save_artifact(folder: Path, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """Write arrays to `folder/artifacts/name.npz`, whole or not at all."""
    path = folder / "artifacts" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{key: np.asarray(value) for key, value in arrays.items()})
    unfinished.replace(path)
    return path


def load_artifact(folder: Path, name: str) -> dict[str, npt.NDArray[Any]] | None:
    """Read arrays back, or None where there are none. Nothing is unpickled."""
    path = folder / "artifacts" / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}
