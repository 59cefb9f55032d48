"""Results and artifacts: what was measured, a line of JSON each, and arrays to draw from. Files only; nothing here imports torch.

    RUN/results.jsonl            a line for each number
    RUN/artifacts/draws-*.npz    what intervals were taken from, and the names of what was drawn
    RUN/artifacts/arrays-*.npz   what else belongs to a number and is too long for a line: transcripts, tables
    RUN/artifacts/example-*.npz  utterances and their features
    RUN/artifacts/sounds-*.npz   synthesized speech, to be listened to

An artifact is written before the lines that speak of it: whoever finds a line finds its artifact, whenever a process was killed.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from foresay.errors import UserError
from foresay.files import UNFINISHED, make_folder, parse_json_object, read_text, write_bytes
from foresay.version import __version__

RESULTS = "results.jsonl"
ARTIFACTS = "artifacts"
MOST = 10**300
"""JSON holds integers that no float can be."""
FEWEST = 5
"""Utterances, speakers or items that an interval takes: fewer can be drawn again in so few ways that their spread says nothing."""
COVERAGE = 95.0
"""% of the draws that lie in an interval."""
EXAMPLE = "example-"
"""What the names of artifacts begin with that hold an utterance each, with its features; a number follows, from 1."""
SOUNDS = "sounds-"
"""And those that hold sounds which belong together, such as an utterance as it was recorded and as it was resynthesized."""

APART = ("draws", "arrays")
"""What of a result stands in artifacts and not in its line."""

NAMES = "names-"
"""What stands before the digest of what was drawn, where its names are kept."""

Direction = Literal["higher", "lower", "none"]


def middle(draws: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the middle 95 % of (n,) draws."""
    tail = (100.0 - COVERAGE) / 2.0
    low, high = np.percentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Metric:
    """What kind of number a metric is, as its measure declares it."""

    direction: Direction
    """Which values are better. `none`: it describes and does not rate, for what is degenerate may have the best of it."""
    unit: str = ""
    """`%`: a share from 0 to 1, which is written times 100. Another one, such as `ms`, follows the number."""
    headline: bool = False
    """Whether it is said first of its measure."""


NO_RANK, NO_RANK_SHARE = Metric("none"), Metric("none", "%")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What was drawn again for an interval. Numbers with an equal one were drawn alike."""

    what: str
    """`utterances`, `speakers`, `items`: only those in which there was something to count."""
    count: int
    """How many there were to draw from; of fewer than five no interval is taken."""
    digest: str
    """Of their names in order, the seed, and the number of draws."""


class Draws(NamedTuple):
    """What a number was in each draw, and of what the draws were. Not in a line, but in an artifact."""

    what: str
    names: tuple[str, ...]
    """(U,): of what was drawn again."""
    seed: int
    values: npt.NDArray[np.float64]
    """(draws,); empty where there is no interval."""

    @property
    def drawn(self) -> Drawn:
        """What the line says of it."""
        content = repr((self.what, self.names, self.seed, len(self.values)))
        return Drawn(self.what, len(self.names), hashlib.blake2b(content.encode(), digest_size=8).hexdigest())


@dataclasses.dataclass(frozen=True)
class Result:
    """One number, with all that is needed to know what it is: a line of `results.jsonl`."""

    model: str
    """What the run or baseline measured is called; its untrained copy is `NAME (untrained)`. A name for people: see `model_fingerprint`."""
    measure: str
    protocol: str
    metric: str
    layer: str
    split: str
    value: float
    low: float | None
    """Lower end of the 95 % interval; None where there is none (a count, a size, too few to draw again)."""
    high: float | None
    corpus: str
    step: int | None
    """Updates the model was trained for; None for what is not trained."""
    seed: int
    seconds: float
    """What the measurement took."""
    version: str = __version__
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    direction: Direction = "none"
    """Which values are better, as the measure declares; lines of older versions do not say, and are not ranked."""
    unit: str = ""
    headline: bool = False
    model_fingerprint: str = ""
    """A digest of the model's weights and settings, which is the same whatever it is called and wherever it lies. Empty for what is no
    model, such as the majority class."""
    data_fingerprint: str = ""
    """A digest of what it was measured on, and learnt on: equal where corpora hold the same, whatever they are called."""
    drawn: Drawn | None = None
    """What was drawn again for the interval; None where a number has none by nature."""
    draws: Draws | None = dataclasses.field(default=None, repr=False, compare=False)
    """The value with other utterances, drawn again and again: what the interval was taken from. Not in the line, but in an artifact."""
    arrays: Mapping[str, npt.NDArray[Any]] | None = dataclasses.field(default=None, repr=False, compare=False)
    """What else belongs to the number and is too long for a line, which has only their names, in `details["arrays"]`."""

    @property
    def whole(self) -> bool:
        """Whether its draws and arrays are there, if it has any."""
        drawn = self.low is None or self.drawn is None or self.draws is not None
        return drawn and sorted(self.arrays or ()) == self.details.get("arrays", [])

    @property
    def declared(self) -> Metric:
        """What kind of number it is."""
        return Metric(self.direction, self.unit, self.headline)


@contextlib.contextmanager
def writing_results(folder: Path) -> Iterator[None]:
    """Write in a run's folder while no other process writes results there; it waits for that. What a killed one left is cleared away."""
    artifacts = folder / ARTIFACTS
    make_folder(artifacts)
    descriptor = os.open(artifacts, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # there are file systems without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in (*artifacts.glob(f"{UNFINISHED}*"), *artifacts.glob("*.unfinished"), folder / f"{UNFINISHED}{RESULTS}"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def append_results(path: Path, results: Sequence[Result]) -> None:
    """Add lines to a `results.jsonl`, made if it is not there: all of them or none. A line that a kill cut short is dropped first."""
    if not results:
        return
    make_folder(path.parent)
    written = path.read_bytes() if path.exists() else b""
    whole = written.rfind(b"\n") + 1
    try:
        if written[whole:]:
            json.loads(written[whole:])
            written += b"\n"  # it lacks only its end
    except (ValueError, RecursionError):
        written = written[:whole]
    write_bytes(path, written + "".join(json.dumps(_line(result)) + "\n" for result in results).encode())


def _line(result: Result) -> dict[str, Any]:
    line = dataclasses.asdict(dataclasses.replace(result, draws=None, arrays=None))
    for name in APART:
        del line[name]
    return line


def read_results(path: Path) -> list[Result]:
    """Read a `results.jsonl`; a file that is not there holds no results.

    Raises:
        UserError: a line is no result; the message names it.
    """
    return [_result(line, f"{path}, line {number}") for number, line in _numbered(path)]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects of a JSON Lines file, one a line. A last line cut short by a kill is left out.

    Raises:
        UserError: a line is no JSON object; the message names it.
    """
    return (line for _, line in _numbered(path))


def _numbered(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.exists():
        return
    *lines, last = read_text(path).split("\n")
    for number, line in enumerate(lines, start=1):
        yield number, _object(line, f"{path}, line {number}")
    with contextlib.suppress(UserError):  # there is no line end after it: cut short, unless it is whole
        yield len(lines) + 1, parse_json_object(last, "")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        return parse_json_object(line, where)
    except UserError as error:
        msg = f"{error}. Was the file edited by hand, or damaged? Delete that line: its result is lost, and nothing else"
        raise UserError(msg) from error


def _result(line: Mapping[str, Any], where: str) -> Result:
    """Build a result of a line; what a newer version added is left out, and what an older one did not know has its default."""
    types_of = get_type_hints(Result)
    for field in dataclasses.fields(Result):
        missing = field.name not in line
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if missing and optional:
            continue
        if missing or not _fits(line[field.name], types_of[field.name]):
            found = "is missing" if missing else f"is {json.dumps(line[field.name])[:40]}"
            msg = (
                f"{where} is no result: {field.name!r} {found}. Was the file edited by hand, or damaged? Delete that line, and the same "
                "`foresay evaluate` measures its results again"
            )
            raise UserError(msg)
    known = {name: line[name] for name in types_of if name in line and name not in APART}
    drawn = known.get("drawn")
    return Result(**{**known, "drawn": drawn and Drawn(**{f.name: drawn[f.name] for f in dataclasses.fields(Drawn)})})


def _fits(value: Any, wanted: Any) -> bool:  # noqa: ANN401 - whatever JSON holds, whatever is annotated
    """Whether a value of JSON is of the type of a field."""
    if get_origin(wanted) is Literal:
        return isinstance(value, str) and value in get_args(wanted)
    if isinstance(wanted, types.UnionType):
        return any(_fits(value, one) for one in get_args(wanted))
    if wanted is Drawn:
        types_of = get_type_hints(Drawn)
        return isinstance(value, dict) and all(key in value and _fits(value[key], types_of[key]) for key in types_of)
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < MOST)
    return isinstance(value, get_origin(wanted) or wanted)


def save_draws(folder: Path, results: Iterable[Result]) -> None:
    """Keep the draws of results, by their fingerprint; those kept before stay."""
    by_fingerprint: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for result in results:
        if result.draws is not None and result.drawn is not None and result.low is not None:
            kept = by_fingerprint.setdefault(result.details["fingerprint"], {})
            kept[_which(result)] = result.draws.values.astype(np.float32)
            kept[f"{NAMES}{result.drawn.digest}"] = np.array(result.draws.names)
    for stamp, draws in by_fingerprint.items():
        name = f"draws-{stamp}"
        save_artifact(folder, name, {**(load_artifact(folder, name) or {}), **draws})


def with_draws(folder: Path, results: Sequence[Result]) -> list[Result]:
    """Read the draws of results back; where there are none of a result, its `draws` is None.

    Raises:
        UserError: a file is damaged.
    """
    stamps = dict.fromkeys(result.details.get("fingerprint") for result in results)
    kept = {stamp: load_artifact(folder, f"draws-{stamp}") or {} for stamp in stamps}
    return [dataclasses.replace(result, draws=_draws(kept[result.details.get("fingerprint")], result)) for result in results]


def _draws(kept: Mapping[str, npt.NDArray[Any]], result: Result) -> Draws | None:
    if result.drawn is None or _which(result) not in kept:
        return None
    names = kept.get(f"{NAMES}{result.drawn.digest}", np.zeros(0))
    draws = Draws(result.drawn.what, tuple(map(str, names.flat)), result.seed, kept[_which(result)].astype(np.float64))
    return draws if draws.drawn == result.drawn else None


def save_arrays(folder: Path, results: Iterable[Result]) -> None:
    """Keep the arrays of results, by their fingerprint; those kept before stay."""
    by_fingerprint: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for result in results:
        for name, array in (result.arrays or {}).items():
            by_fingerprint.setdefault(result.details["fingerprint"], {})[f"{_which(result)}|{name}"] = array
    for stamp, arrays in by_fingerprint.items():
        name = f"arrays-{stamp}"
        save_artifact(folder, name, {**(load_artifact(folder, name) or {}), **arrays})


def with_arrays(folder: Path, results: Sequence[Result]) -> list[Result]:
    """Read the arrays of results back, where they are there.

    Raises:
        UserError: a file is damaged.
    """
    stamps = dict.fromkeys(result.details.get("fingerprint") for result in results if result.details.get("arrays"))
    kept = {stamp: load_artifact(folder, f"arrays-{stamp}") or {} for stamp in stamps}
    return [dataclasses.replace(result, arrays=_arrays(kept.get(result.details.get("fingerprint"), {}), result)) for result in results]


def _arrays(kept: Mapping[str, npt.NDArray[Any]], result: Result) -> dict[str, npt.NDArray[Any]] | None:
    names = {name: f"{_which(result)}|{name}" for name in result.details.get("arrays", ())}
    return {name: kept[key] for name, key in names.items() if key in kept} or None


def _which(result: Result) -> str:
    return f"{result.layer}|{result.metric}|{result.split}"


def save_artifact(folder: Path, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Path:
    """Write arrays to `folder/artifacts/name.npz`, whole or not at all."""
    kept: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    if objects := [key for key, value in kept.items() if value.dtype.hasobject]:  # only NumPy 2.2 has an option not to pickle
        msg = f"artifact {name}: {', '.join(objects)} hold objects, and only numbers and texts are written"
        raise TypeError(msg)
    path = _artifact(folder, name)
    make_folder(path.parent)
    content = io.BytesIO()
    np.savez_compressed(content, **kept)
    write_bytes(path, content.getvalue())
    return path


def _artifact(folder: Path, name: str) -> Path:
    return folder / ARTIFACTS / f"{name}.npz"


def load_artifact(folder: Path, name: str) -> dict[str, npt.NDArray[Any]] | None:
    """Read arrays back, or None where there are none. Nothing is unpickled.

    Raises:
        UserError: the file is damaged.
    """
    path = _artifact(folder, name)
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # NumPy and zipfile raise whatever a damaged byte makes of them
        why = str(error).partition("\n")[0] or type(error).__name__
        if "pickle" in why:  # of what is no archive, NumPy says how to load it unsafely
            why = "it is no archive of arrays"
        msg = (
            f"{path} cannot be read ({why}): it was cut short or damaged, or was not written by foresay. Delete it, and the same "
            "`foresay evaluate` makes it again"
        )
        raise UserError(msg) from error


def save_examples(folder: Path, examples: Sequence[Mapping[str, npt.NDArray[Any]]], stamp: str, kind: str = EXAMPLE) -> None:
    """Keep examples, or `SOUNDS`, and drop those kept before, unless there are no new ones. `stamp`: what they are of."""
    for number, arrays in enumerate(examples, start=1):
        known = {"fingerprint": np.array(stamp), "examples": np.array(len(examples))}
        save_artifact(folder, f"{kind}{number}", {**arrays, **known})
    number = len(examples) + 1
    while examples and (left := _artifact(folder, f"{kind}{number}")).exists():
        left.unlink()
        number += 1


def has_examples(folder: Path, stamp: str, kind: str = EXAMPLE) -> bool:
    """Whether all examples, or `SOUNDS`, with a stamp are there.

    Raises:
        UserError: one is damaged.
    """
    number, count = 1, 1
    while number <= count:
        kept = load_artifact(folder, f"{kind}{number}") or {}
        if str(kept.get("fingerprint")) != stamp or "examples" not in kept:
            return False
        number, count = number + 1, int(kept["examples"])
    return not _artifact(folder, f"{kind}{number}").exists()
