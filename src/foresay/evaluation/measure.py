"""What a measure is, what it measures, and how one is found by its name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from foresay.contracts import Extractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError, nearest
from foresay.results import Draws, Metric, Result
from foresay.settings import Table, find_class, first_line, from_table, list_names, to_table
from foresay.statistics.intervals import ConfidenceInterval

PACKAGE = "foresay.evaluation"
ProtocolT = TypeVar("ProtocolT", bound=Any)
"""A measure's own dataclass, with a field `name`."""


@dataclass(frozen=True)
class Corpora:
    """The corpora of a measure."""

    test: Manifest
    train: Manifest | None = None
    """For measures that learn something themselves."""
    valid: Manifest | None = None
    """For those that choose among what they learnt."""

    def both(self, who: str) -> tuple[Manifest, Manifest]:
        """Return what to learn on and what to test on; `who` learns.

        Raises:
            UserError: there is one corpus only.
        """
        if self.train is None:
            msg = (
                f"{who} learns on one corpus and is tested on another, {self.test.name}: give the first with --train-corpus, "
                "usually the train.jsonl beside it"
            )
            raise UserError(msg)
        if self.train.path == self.test.path:
            msg = f"{self.test.path} is given for training and for testing, which would rate how well it is remembered: give two manifests"
            raise UserError(msg)
        return self.train, self.test

    def three(self, who: str) -> tuple[Manifest, Manifest, Manifest]:
        """Return what to learn on, what to choose on, and what to test on; `who` learns.

        Raises:
            UserError: there are fewer corpora.
        """
        train, test = self.both(who)
        if self.valid is None:
            msg = f"{who} chooses a learning rate on a corpus of its own: give --valid-corpus, usually the valid.jsonl beside {test.name}"
            raise UserError(msg)
        if self.valid.path in {train.path, test.path}:
            msg = (
                f"{self.valid.path} is given for choosing and for learning or testing too, which would make the number too good: give three"
            )
            raise UserError(msg)
        return train, self.valid, test


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


class Measure(ABC, Generic[ProtocolT]):
    """One file of this package each; `NAME:PROTOCOL` is that file and one of the class's protocols."""

    name: ClassVar[str]
    protocols: ClassVar[Mapping[str, Any]]
    """By name: frozen dataclasses with a field `name`."""
    metrics: ClassVar[Mapping[str, Metric]] = {}
    """What kind of number each metric is that the measure finds: its unit, which values are better, whether it is said first."""
    by_layer: ClassVar[bool] = True
    """Whether it measures each layer that is asked for; else the model as a whole, whose rows name what they are of instead."""
    joint: ClassVar[bool] = False
    """Whether its numbers are of all layers together that are asked for, such as of their sum."""
    files: Sequence[Path] = ()
    """What the measure reads beside the manifests: with another content it is measured anew."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Patterns of what it reads beside the manifest to test on, which counts as the `files` do."""
    alike: tuple[object, ...] = ()
    """What else numbers must have in common to be compared."""

    def __init__(self, protocol: ProtocolT) -> None:
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
        interval: ConfidenceInterval | None,
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


def find_measure(name: str, options: Table | None = None, layers: Sequence[str] = ()) -> Measure[Any]:
    """Find the measure of `probe:paper`, or of `my_lab.my_measure:its_protocol`. Where a measure has one protocol it need not be named.

    `options` change fields of its protocol, which then bears their names and values beside its own. `layers` are those that are asked for,
    if not all are, which the protocol bears too where numbers are of all of them together.
    """
    file, colon, wanted = name.partition(":")
    if "." not in file and file.replace("_", "-") not in list_names(PACKAGE, "Measure"):
        raise UserError(_unknown(name, list_measures()))
    measure: type[Measure[Any]] = find_class(PACKAGE, file, Measure)
    matching = [protocol for protocol in measure.protocols if protocol == wanted or not colon]
    if len(matching) != 1:
        raise UserError(_unknown(name, [f"{file}:{protocol}" for protocol in measure.protocols]))
    protocol = measure.protocols[matching[0]]
    asked = {"layers": " ".join(layers)} if layers and measure.joint else {}
    return measure(_changed(protocol, options or {}, asked, file.replace("-", "_")) if options or asked else protocol)


def list_measures() -> list[str]:
    """Return every measure with each of its protocols: `probe:paper` and so on."""
    measures: list[type[Measure[Any]]] = [find_class(PACKAGE, name, Measure) for name in list_names(PACKAGE, "Measure")]
    return sorted(f"{measure.name}:{protocol}" for measure in measures for protocol in measure.protocols)


def describe_measures() -> dict[str, str]:
    """Return the measures that there are, without their protocols, each with the first line of its file, without importing them."""
    return {name.replace("-", "_"): first_line(PACKAGE, name) for name in list_names(PACKAGE, "Measure")}


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"there is no measure {name!r}: {nearest(name, known)} A measure is named with its protocol, because protocols disagree."


def _changed(protocol: Any, options: Table, asked: Table, measure: str) -> Any:  # noqa: ANN401 - each measure's own dataclass
    """Change fields of a protocol. Numbers measured otherwise must not be taken for the protocol's own, so its name says how."""
    otherwise = sorted({**options, **asked}.items())
    said = ", ".join(f"{key}={Path(str(value)).name}" for key, value in otherwise)  # of a file its name is enough
    return from_table(type(protocol), {**to_table(protocol), **options, "name": f"{protocol.name}({said})"}, measure)
