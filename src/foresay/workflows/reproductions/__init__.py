"""Papers done again: one paper, one file. It says what to train, what to measure, and how our numbers stand beside the published ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Training:
    """A run: a line of a table, with one seed."""

    folder: str
    """Its name below the parent folder."""
    recipe: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Measuring:
    """What is measured of which models."""

    models: tuple[str, ...]
    """Names of runs below the parent folder, or `RUN@step`."""
    corpus: Path
    """Manifest to test on."""
    measures: tuple[str, ...]
    options: tuple[str, ...] = ()
    train: Path | None = None
    """Manifest for measures that learn something themselves."""
    layers: tuple[str, ...] | None = None
    """Of the models; None: all."""


class Reproduction(ABC):
    """A paper at the scales at which it can be done again."""

    scales: ClassVar[Sequence[str]]
    """The smallest first; that one needs no corpus."""

    @abstractmethod
    def make_corpus(self, scale: str, folder: Path) -> bool:
        """Make the corpus of a scale that needs none of the user's; False if it needs one."""

    @abstractmethod
    def check(self, scale: str, corpus: Path) -> None:
        """Refuse a corpus that lacks what the scale needs, before hours are spent.

        Raises:
            UserError: something is missing.
        """

    @abstractmethod
    def trainings(self, scale: str) -> list[Training]:
        """List the runs."""

    @abstractmethod
    def measurings(self, scale: str, corpus: Path, parent: Path) -> list[Measuring]:
        """List what is measured, once all runs below `parent` are trained."""

    def finish(self, scale: str, corpus: Path, parent: Path) -> None:  # noqa: B027 - most papers need nothing more
        """Do what is neither a pre-training nor a measurement of features, once these are done."""

    @abstractmethod
    def shown(self, scale: str) -> list[str]:
        """List the runs whose figures the report shows."""

    @abstractmethod
    def tables(self, scale: str, parent: Path) -> str:
        """Write the paper's tables with our numbers, in Markdown, from what stands in the runs' folders."""
