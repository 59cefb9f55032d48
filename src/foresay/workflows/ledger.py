"""What is known of a measure's numbers, and where each is written down: every number is measured once, and none is lost to a kill.

A number is known by its fingerprint: what was measured (weights, settings), on what (the content of manifests), how (measure, protocol,
seed, version). Names and places play no part: a run that was renamed, moved or copied is the same. Each run's folder keeps its own numbers,
beside those of the models that have no folder; with `--out` one folder keeps all.

Draws and arrays are written before the lines that they belong to, and a line without them is measured again.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure
from foresay.files import is_disk_full
from foresay.fingerprint import fingerprint, of_file
from foresay.results import (
    ARTIFACTS,
    RESULTS,
    Result,
    append_results,
    read_results,
    save_arrays,
    save_draws,
    with_arrays,
    with_draws,
    writing_results,
)
from foresay.settings import to_table
from foresay.version import __version__
from foresay.workflows.candidates import Candidate

Key: TypeAlias = tuple[str, str, str, str, str]
"""Fingerprint, layer, metric, split and, of what is no model (the majority class), the name."""


@dataclass(frozen=True)
class Book:
    """A folder and whose numbers it keeps."""

    folder: Path
    names: Mapping[Subject, str]
    """What each is called there: a run by its own folder, so that it has one name however it was measured."""

    @classmethod
    def all_of(cls, candidates: Sequence[Candidate], out: Path | None) -> "list[Book]":
        """Give each run a book, or all of them one."""
        if out is not None:
            return [cls(out, {subject: subject.name for candidate in candidates for subject in candidate.subjects})]
        runs = list(dict.fromkeys(candidate.run for candidate in candidates if candidate.run))
        return [cls(run, dict(_names_in(run, candidates))) for run in runs]


def refuse_taken_names(out: Path, candidates: Sequence[Candidate], seed: int) -> None:
    """Make sure that a folder for many models has no numbers of other models by the names that these have.

    Raises:
        UserError: it has.
    """
    ours = {(subject.name, subject.step): stamp for candidate in candidates for subject, stamp in candidate.fingerprints.items()}
    for row in read_results(out / RESULTS):
        stamp = ours.get((row.model, row.step), "")
        if stamp and row.model_fingerprint not in {"", stamp} and (row.seed, row.version) == (seed, __version__):
            msg = (
                f"{out / RESULTS} has numbers of another model called {row.model} (weights {row.model_fingerprint}, now {stamp}), and it "
                "could not be known whose are whose: choose another --out, rename the folder, or give both runs in one command, which "
                "names them apart"
            )
            raise UserError(msg)


def _names_in(run: Path, candidates: Sequence[Candidate]) -> Iterator[tuple[Subject, str]]:
    for candidate in candidates:
        if candidate.run in {None, run}:
            for subject in candidate.subjects:
                yield subject, f"{run.name}{subject.name.removeprefix(candidate.subject.name)}" if candidate.run else subject.name


class Ledger:
    """The numbers of one measure."""

    def __init__(
        self, measure: Measure[Any], candidates: Sequence[Candidate], corpora: Corpora, books: Sequence[Book], seed: int, *, again: bool
    ) -> None:
        self._measure, self._corpora, self._books, self._again = measure, corpora, books, again
        manifests = [
            manifest and (manifest.digest, manifest.sound)
            for manifest in (corpora.test, corpora.train, *([corpora.valid] if corpora.valid else []))
        ]
        beside = [path for pattern in measure.beside for path in sorted(corpora.test.path.parent.glob(pattern))]
        self._files = [of_file(path) for path in (*measure.files, *beside)]
        settings = {key: value for key, value in to_table(measure.protocol).items() if str(value) not in map(str, measure.files)}
        context = (measure.name, sorted(settings.items()), manifests, seed, __version__, self._files)
        self._shared = fingerprint(context)  # of rows that are no candidate's, such as the majority class
        self._models = {subject: model for candidate in candidates for subject, model in candidate.fingerprints.items()}
        self._prints = {subject: fingerprint(context, subject.step, model) for subject, model in self._models.items()}
        self._called = {subject: subject.name for subject in self._models}
        asked = dict.fromkeys((stamp, layer) for subject, stamp in self._prints.items() for layer in subject.layers)
        self._places = {what: place for place, what in enumerate(asked)}
        self._rows: dict[Key, Result] = {}
        self._done: set[tuple[str, str]] = set()
        self._lost: set[tuple[str, str]] = set()
        if not again:
            self._look_up()

    def refuse_closed(self) -> None:
        """See, before anything is measured, that it may be written down.

        Raises:
            PermissionError: it may not.
        """
        for book in self._books:
            for folder in (book.folder, book.folder / ARTIFACTS):
                if folder.exists() and not os.access(folder, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    def missing(self, subject: Subject) -> tuple[str, ...]:
        """Return the layers that were not measured yet; of what is measured of a model as a whole, all of them or none.

        A layer whose untrained copy has lost its draws or arrays is measured again, for the copy is measured with it.
        """
        if not self._measure.by_layer:
            done, lost = (any(stamp == self._prints[subject] for stamp, _ in keys) for keys in (self._done, self._lost))
            return () if done and not lost else subject.layers
        copy = self._prints.get(subject.untrained, "") if subject.untrained else ""
        return tuple(layer for layer in subject.layers if (self._prints[subject], layer) not in self._done or (copy, layer) in self._lost)

    def add(self, results: Iterable[Result]) -> None:
        """Take what was measured, and write it down.

        Raises:
            LookupError: the measure does not declare what it found.
            UserError: the disk is full.
        """
        of_name = {(subject.name, subject.step): subject for subject in self._models}
        fresh: dict[Key, Result] = {}
        for result in results:
            row = self._stamped(result, of_name.get((result.model, result.step)))
            if _key(row) not in self._rows:  # the majority class comes along every time
                fresh[_key(row)] = row
        self._rows |= fresh
        self._done |= {(row.details["fingerprint"], row.layer) for row in fresh.values()}
        self._write(self._in_order(row for row in fresh.values() if row.model_fingerprint))

    def close(self) -> list[Result]:
        """Return the numbers asked for, in the order of the candidates; what is not of a layer asked for comes after them.

        They are written where they were missing: of several runs, one may have known what another did not.
        """
        layers = {print_: subject.model.layer_names for subject, print_ in self._prints.items()}
        wanted = self._in_order(
            row
            for row in self._rows.values()
            if (stamp := row.details["fingerprint"]) not in layers or (stamp, row.layer) in self._places or row.layer not in layers[stamp]
        )
        self._write([row for row in wanted if not (self._again and row.model_fingerprint)])
        return [replace(row, model=name) for row in wanted for name in self._names(self._called, row)]

    def _look_up(self) -> None:
        """Find what the books hold already. A layer of which any draws or arrays are missing is not known."""
        broken, ours = set(), {self._shared, *self._prints.values()}
        for book in self._books:
            with writing_results(book.folder):  # clears away what a killed process left
                rows = [row for row in read_results(book.folder / RESULTS) if row.details.get("fingerprint") in ours]
            for row in with_arrays(book.folder, with_draws(book.folder, rows)):
                if row.whole:
                    self._rows[_key(row)] = row
                else:
                    broken.add(_key(row))
        self._lost = {(stamp, layer) for stamp, layer, *_ in broken - self._rows.keys()}
        self._rows = {key: row for key, row in self._rows.items() if key[:2] not in self._lost}
        self._done = {(stamp, layer) for stamp, layer, *_ in self._rows}

    def _stamped(self, result: Result, subject: Subject | None) -> Result:
        """Write down with a number what it is of."""
        kind = self._measure.metric(result.metric)
        stamp = self._prints[subject] if subject else self._shared
        learnt = self._corpora.train if "trained_on" in result.details else None
        chosen = [self._corpora.valid.digest] if self._corpora.valid else []
        arrays = {"arrays": sorted(result.arrays)} if result.arrays else {}
        return replace(
            result,
            direction=kind.direction,
            unit=kind.unit,
            headline=kind.headline,
            model_fingerprint=self._models[subject] if subject else "",
            data_fingerprint=fingerprint(self._corpora.test.digest, learnt and learnt.digest, *chosen, self._files, *self._measure.alike),
            details={**result.details, **arrays, "tested_on": self._corpora.test.digest, "fingerprint": stamp},
        )

    def _in_order(self, rows: Iterable[Result]) -> list[Result]:
        return sorted(rows, key=lambda row: self._places.get((row.details["fingerprint"], row.layer), len(self._places)))

    def _names(self, called: Mapping[Subject, str], row: Result) -> list[str]:
        """What those are called that a number is of: two runs may be the same, or one run may be given twice."""
        if not row.model_fingerprint:
            return [row.model]
        return list(dict.fromkeys(name for subject, name in called.items() if self._prints.get(subject) == row.details["fingerprint"]))

    def _write(self, rows: Sequence[Result]) -> None:
        for book in self._books:
            own = [replace(row, model=name) for row in rows for name in self._names(book.names, row)[:1]]
            with reporting_full_disks(book.folder), writing_results(book.folder):
                there = {} if self._again else {_key(row): row for row in read_results(book.folder / RESULTS)}
                lacking = [row for row in own if _key(row) not in there or not there[_key(row)].whole]
                save_draws(book.folder, lacking)
                save_arrays(book.folder, lacking)
                append_results(book.folder / RESULTS, [row for row in own if _key(row) not in there])


def _key(row: Result) -> Key:
    return row.details.get("fingerprint", ""), row.layer, row.metric, row.split, "" if row.model_fingerprint else row.model


@contextmanager
def reporting_full_disks(folder: Path) -> Iterator[None]:
    """Turn a full disk into a message."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        msg = (
            f"the disk is full: what was just measured could not be written to {folder} ({error.strerror or error}). What was written "
            "before is whole. Free some space and give the same command again: it goes on from there"
        )
        raise UserError(msg) from error
