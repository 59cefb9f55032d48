"""Searches as files: what `foresay lm tune` found, of which recognizer and on what, for `--search FILE`.

    [search]                                        [tuned]
    lm = "../runs/4gram"                            recognizer = "3f2a…"          a digest of its weights and settings
    lm_weight = 1.07                                files = ["90b1…", …]          of the language model and the lexicon
    word_weight = -0.59                             corpus = "dev.jsonl"          and a digest of what it holds
    beam = 50                                       error_rate = 0.214

Names are relative to the file. Weights hold for the language model that they were tuned with: another one is refused.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.errors import UserError
from foresay.files import write_text
from foresay.fingerprint import of_file, of_model
from foresay.settings import from_table, read_toml_file, to_table, write_toml

NAMES = ("lm", "lexicon", "hot_words", "rescore")
"""Settings that name files or models."""


@dataclass(frozen=True)
class Tuning:
    """Where weights come from."""

    recognizer: str
    """Digest of the recognizer that they were tuned for."""
    files: tuple[str, ...]
    """Digests of what the search reads."""
    corpus: str
    digest: str
    """Of what the corpus holds."""
    error_rate: float
    """On it, with these weights."""


@dataclass(frozen=True)
class SearchFile:
    """A search, and where its weights come from, if that is known."""

    settings: SearchSettings
    tuning: Tuning | None = None
    path: Path = Path()

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read one, and compare what it reads with what its weights were tuned with.

        Raises:
            UserError: it is none, or a language model or lexicon has changed.
        """
        path = Path(path)
        table = read_toml_file(path)
        named = table.get("search", {})
        if unknown := sorted(set(table) - {"search", "tuned"}):
            msg = f"{path} describes no search: [{unknown[0]}] stands in it, and known are [search] and [tuned] (docs/recognition.md)"
            raise UserError(msg)
        if not named:
            msg = f"{path} describes no search: its table [search] is to say which language model, lexicon or beam (docs/recognition.md)"
            raise UserError(msg)
        search = {key: str(path.parent / said) if key in NAMES and isinstance(said, str) else said for key, said in named.items()}
        settings = from_table(SearchSettings, search, f"{path}: search")
        tuning = from_table(Tuning, table["tuned"], f"{path}: tuned") if "tuned" in table else None
        if tuning and tuning.files != digests(settings):
            msg = (
                f"{path}: a language model or the lexicon ({', '.join(map(str, settings.files))}) is not what its weights were tuned with. "
                "Tune again (foresay lm tune), or take the table [tuned] out of the file, if the weights are meant"
            )
            raise UserError(msg)
        return cls(settings, tuning, path)

    @classmethod
    def chosen(cls, path: Path | None, settings: SearchSettings) -> Self:
        """Return the search of a file or, where there is none, of settings.

        Raises:
            UserError: it is none, or both are given.
        """
        if path is None:
            return cls(settings)
        if given := list(to_table(settings)):
            msg = f"--search {path} says all of the search: leave out --{given[0].replace('_', '-')}, or write it into a copy of the file"
            raise UserError(msg)
        return cls.read(path)

    def write(self, path: Path) -> None:
        """Write it, with names as they are seen from the file."""
        table = to_table(self.settings)
        table |= {key: os.path.relpath(table[key], path.parent) for key in NAMES if key in table}
        write_text(path, write_toml({"search": table} | ({"tuned": to_table(self.tuning)} if self.tuning else {})))

    def refuse_tuned_on(self, manifest: Manifest) -> None:
        """Refuse to test on what the weights were tuned on.

        Raises:
            UserError: it is that.
        """
        if self.tuning and self.tuning.digest == manifest.digest:
            msg = (
                f"the weights of {self.path} were tuned on {manifest.name}, so that its error rate there would be too low: test on "
                "another corpus"
            )
            raise UserError(msg)

    def about(self, recognizer: Recognizer) -> dict[str, Any]:
        """Say on what it was tuned, and for whom."""
        if self.tuning is None:
            return {}
        return {"tuned_on": self.tuning.corpus, "tuned_for": "this" if self.is_for(recognizer) else "another"}

    def is_for(self, recognizer: Recognizer) -> bool:
        """Whether it was tuned for a recognizer."""
        return self.tuning is not None and self.tuning.recognizer == of_model(recognizer)

    def notes(self, recognizer: Recognizer, name: str) -> list[str]:
        """Say so, where it was tuned for another recognizer."""
        if self.tuning is None or self.is_for(recognizer):
            return []
        return [f"{self.path} was tuned for another recognizer than {name}: its own weights may be better (foresay lm tune)"]


def choose(searches: Sequence[SearchFile], recognizer: Recognizer, name: str) -> SearchFile:
    """Choose the search that was tuned for a recognizer, or the only one.

    Raises:
        UserError: there are several, none of them for it, or several for it.
    """
    own = [search for search in searches if search.is_for(recognizer)] or list(searches)
    if len(own) > 1:
        msg = (
            f"of the searches {', '.join(str(one.path) for one in own)} none or several were tuned for {name}: give one of this kind "
            "for each recognizer (foresay lm tune), or one for all"
        )
        raise UserError(msg)
    return own[0]


def digests(settings: SearchSettings) -> tuple[str, ...]:
    """Digest what a search reads."""
    return tuple(map(of_file, settings.files))
