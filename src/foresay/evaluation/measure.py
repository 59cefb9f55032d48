"""What a measure is, what it measures, and how one is found by its name."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

from foresay.contracts import Extractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError, nearest
from foresay.results import Draws, Metric, Result
from foresay.settings import Table, find_class, from_table, list_names, to_table
from foresay.statistics.intervals import Interval

PACKAGE = "foresay.evaluation"


@dataclass(frozen=True)
class Corpora:
    """What a measure hears."""

    test: Manifest
    train: Manifest | None = None
    """For measures that learn something themselves."""


class Where(NamedTuple):
    """What a number was measured on."""

    split: str
    corpus: Manifest
    seed: int
    started: float
    """The `perf_counter` when its measuring began."""
    over: "Population | None" = None
    """What the places of its interval count; None: the utterances of the corpus."""


class Population(NamedTuple):
    """What was drawn again for an interval."""

    what: str
    """Their noun, in the plural."""
    names: Sequence[str]
    """(U,): one name for each of those that an interval's `places` count."""


class Measure(ABC):
    """One file of this package each; `NAME:PROTOCOL` is that file and one of the class's protocols."""

    name: ClassVar[str]
    protocols: ClassVar[Mapping[str, Any]]
    """By name: frozen dataclasses with a field `name`."""
    metrics: ClassVar[Mapping[str, Metric]] = {}
    """What kind of number each metric is that the measure finds: its unit, which values are better, whether it is said first."""
    files: Sequence[Path] = ()
    """What the measure reads beside the manifests: with another content it is measured anew."""

    @abstractmethod
    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 - each measure's own dataclass
        """Take one of the `protocols`, or another of their type."""
        self.protocol = protocol

    @abstractmethod
    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Measure each layer of each subject and of its untrained copy."""

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - where pictures count, the corpus does too
        """Whether it can measure such a model there; baselines that it cannot measure are left out."""
        return "audio" in model.modalities

    def row(
        self,
        subject: Subject,
        layer: str,
        metric: str,
        value: float,
        interval: Interval | None,
        where: Where,
        **details: Any,  # noqa: ANN401 - whatever JSON holds
    ) -> Result:
        """Write a number of a subject down.

        `interval`: None where the number has none by nature.

        Raises:
            LookupError: the metric is not one of `metrics`: a fault of the measure.
        """
        low, high = interval or (None, None)
        what, names = where.over or Population("utterances", where.corpus.ids)
        drawn = None if interval is None else Draws(what, tuple(names[place] for place in interval.places), where.seed, interval.draws)
        kind = self.metric(metric)
        return Result(
            model=subject.name,
            measure=self.name,
            protocol=self.protocol.name,
            metric=metric,
            direction=kind.direction,
            unit=kind.unit,
            headline=kind.headline,
            layer=layer,
            split=where.split,
            value=value,
            low=low,
            high=high,
            corpus=where.corpus.name,
            step=subject.step,
            seed=where.seed,
            seconds=perf_counter() - where.started,
            details=details,
            drawn=drawn and drawn.drawn,
            draws=drawn,
        )

    def metric(self, name: str) -> Metric:
        """Look up what kind of number a metric is.

        Raises:
            LookupError: it is not declared.
        """
        if name not in self.metrics:
            msg = (
                f"the measure {self.name} finds a metric {name!r} that it does not declare: add it to {type(self).__name__}.metrics with "
                f"its direction and unit; declared are {', '.join(self.metrics) or 'none'}"
            )
            raise LookupError(msg)
        return self.metrics[name]


def find_measure(name: str, options: Table | None = None) -> Measure:
    """Find the measure of `probe:paper`, or of `my_lab.my_measure:its_protocol`. Where a measure has one protocol it need not be named.

    `options` change fields of its protocol, which then bears their names and values beside its own.
    """
    file, colon, rest = name.partition(":")
    if "." not in file:
        file = file.replace("-", "_")
        name = f"{file}{colon}{rest}"
    measures = {file: find_class(PACKAGE, file, Measure)} if "." in file else _measures()
    known = {f"{m}:{p}": measures[m](protocol) for m in measures for p, protocol in measures[m].protocols.items()}
    matching = [k for k in known if k == name or (not colon and k.startswith(f"{file}:"))]
    if len(matching) != 1:
        msg = f"there is no measure {name!r}: {nearest(name, known)} A measure is named with its protocol, because protocols disagree."
        raise UserError(msg)
    measure = known[matching[0]]
    return type(measure)(_changed(measure.protocol, options, file)) if options else measure


def list_measures() -> list[str]:
    """Return every measure with each of its protocols: `probe:paper` and so on."""
    return sorted(f"{name}:{protocol}" for name, measure in _measures().items() for protocol in measure.protocols)


def _changed(protocol: Any, options: Table, measure: str) -> Any:  # noqa: ANN401 - each measure's own dataclass
    """Change fields of a protocol. Numbers measured otherwise must not be taken for the protocol's own, so its name says how."""
    said = ", ".join(f"{key}={Path(str(value)).name}" for key, value in sorted(options.items()))  # of a file its name is enough
    return from_table(type(protocol), {**to_table(protocol), **options, "name": f"{protocol.name}({said})"}, measure)


def _measures() -> dict[str, type[Measure]]:
    """Every measure of this package, by the name of its file."""
    modules = [f"{PACKAGE}.{name.replace('-', '_')}" for name in list_names(PACKAGE)]
    for module in modules:
        importlib.import_module(module)
    return {cls.__module__.rpartition(".")[2]: cls for cls in Measure.__subclasses__() if cls.__module__ in modules}
