"""Demonstrations on the embedded corpus: one capability, one file. It makes the corpus, trains, measures, and writes a page."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from foresay.results import Result

Scale: TypeAlias = Literal["tiny", "full"]


@dataclass(frozen=True)
class Shown:
    """Where everything is, and what was measured."""

    corpus: Path
    runs: tuple[Path, ...]
    report: Path
    results: list[Result]
    table: list[list[str]] = field(default_factory=list)
    """What a demonstration shows beside its results, or instead: rows of cells, the head first."""
    more: tuple[str, ...] = ()
    """Commands that go on from here."""


class Demo(ABC):
    """A demonstration. What is done below its folder already is not done again."""

    @abstractmethod
    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Do all of it below the folder `parent`, on the embedded corpus or on the user's.

        Raises:
            UserError: the extra `demo` or `plot` is not installed, or the runs there are of the other scale; or the corpus lacks something.
        """
