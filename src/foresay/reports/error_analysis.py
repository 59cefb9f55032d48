"""Recognizers side by side: what was kept of their errors on one corpus, and transcripts of the same utterances."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.evaluation.recognition.kept import KeptErrors, Unit
from foresay.reports.comparisons import Comparison, Kind, Line, Source
from foresay.results import Result
from foresay.statistics.word_errors import Piece, marked, spread

KINDS = {
    "substitutions": "Substitutions",
    "deletions": "Deletions",
    "insertions": "Insertions",
    "splits": "Splits",
    "joins": "Joins",
}
"""Classes of errors, by their name in the details of a result: `frequent_NAME`."""


class System(NamedTuple):
    """A recognizer with its search, and what is known of its errors."""

    name: str
    color: int
    """Its place among the colors of the page."""
    result: Result
    kept: KeptErrors
    rates: Mapping[str, Result]
    """Everything that was measured with it, by metric."""

    def frequent(self, kind: str) -> list[str]:
        """List the most frequent errors of a class as Table 11 does: `all -> al (181)`."""
        return [f"{what} ({count:,})" for count, what in self.result.details.get(f"frequent_{kind}", ())]


class Analysis(NamedTuple):
    """Recognizers that were tested on one corpus by one measure."""

    title: str
    corpus: str
    systems: tuple[System, ...]

    @property
    def unit(self) -> Unit:
        """What their texts are made of."""
        return self.systems[0].kept.unit


class MarkedTranscript(NamedTuple):
    """What one recognizer wrote, its errors in capitals."""

    system: System
    words: list[tuple[str, bool]]
    """Each word, and whether it is an error; a missing one is `*`."""
    errors: int

    @property
    def text(self) -> str:
        """The line of Table 12."""
        return " ".join(word for word, _ in self.words)


class ComparedUtterance(NamedTuple):
    """An utterance, and what each recognizer made of it."""

    id: str
    reference: str
    words: int
    transcripts: list[MarkedTranscript]
    sound: NDArray[np.int16] | None
    """(S,); None: no evaluation kept it."""
    sample_rate: int


def analyses(comparisons: Sequence[Comparison]) -> list[Analysis]:
    """Put together the recognizers of each corpus whose transcripts were kept, whatever they search with."""
    rates: dict[tuple[Kind, Source], dict[str, Result]] = {}
    groups: dict[tuple[str, str, str, str], list[tuple[Comparison, Line, KeptErrors]]] = {}
    for comparison in comparisons:
        for line in comparison.lines:
            rates.setdefault((comparison.kind._replace(metric=""), line.source), {})[comparison.metric] = line.result
            kept = KeptErrors.of(line.result.arrays)
            if kept is not None:
                tested_on = line.result.details.get("tested_on", comparison.kind.data)  # the data of a search are its model's too
                key = comparison.kind.measure, comparison.title, comparison.kind.corpus, tested_on
                groups.setdefault(key, []).append((comparison, line, kept))
    found = []
    for (_, title, corpus, _), members in groups.items():
        several = len({comparison.kind.protocol for comparison, _, _ in members}) > 1
        runs = [line.run for _, line, _ in members]
        own = len(set(runs)) == len(runs) and None not in runs  # else a run's color is no system's
        systems = []
        for place, (comparison, line, kept) in enumerate(members):
            name = f"{line.label}, {comparison.kind.protocol}" if several else line.label
            color = line.run if own and line.run is not None else place
            systems.append(System(name, color, line.result, kept, rates[comparison.kind._replace(metric=""), line.source]))
        found.append(Analysis(title, corpus, tuple(systems)))
    return found


def utterances(systems: Sequence[System], count: int, *, playable: bool = False) -> list[ComparedUtterance]:
    """Choose utterances at equally spaced quantiles of their error rate, a mean over the systems; of those that all of them recognized.

    `playable`: of those whose sound was kept for one of the systems at least, if there are any.
    """
    texts = [{pair.id: pair for pair in system.kept.pairs if pair.reference} for system in systems]
    common = [name for name in texts[0] if all(name in others for others in texts)]
    sounds = {name: (sound, system.kept.sample_rate) for system in systems for name, sound in system.kept.sounds.items()}
    if playable:
        common = [name for name in common if name in sounds] or common
    cut = {name: [system.kept.cut(text[name]) for system, text in zip(systems, texts, strict=True)] for name in common}
    rates = [float(np.mean([_errors(one) / max(_words(one), 1) for one in cut[name]])) for name in common]
    found = []
    for place in spread(rates, count):
        name = common[place]
        lines = [MarkedTranscript(system, marked(one), _errors(one)) for system, one in zip(systems, cut[name], strict=True)]
        sound, rate = sounds.get(name, (None, 0))
        found.append(ComparedUtterance(name, texts[0][name].reference.lower(), _words(cut[name][0]), lines, sound, rate))
    return found


def differently_written(systems: Sequence[System]) -> bool:
    """Whether the systems' references differ in more than the case of their letters: then neither do their rates compare."""
    texts = [{pair.id: pair.reference.casefold() for pair in system.kept.pairs} for system in systems]
    return any(text[name] != reference for text in texts[1:] for name, reference in texts[0].items() if name in text)


def table_11(systems: Sequence[System], kind: str, most: int) -> tuple[list[str], list[list[str]]]:
    """Lay a class of errors out as Table 11: the names of the systems that have any, and rows of their most frequent errors."""
    columns = {system.name: found[:most] for system in systems if (found := system.frequent(kind))}
    longest = max(map(len, columns.values()), default=0)
    return list(columns), [[column[row] if row < len(column) else "" for column in columns.values()] for row in range(longest)]


def wrong_words(system: System) -> tuple[list[str], list[list[Any]]]:
    """Lay out the words that were wrong most often: the head of a table, and its rows."""
    words = system.result.details.get("frequently_wrong", ())
    known = any(seen is not None for *_, seen in words)
    head = [system.kept.unit, "spoken", "wrong", "share", *(["in training"] if known else [])]
    return head, [
        [word, spoken, wrong, f"{100 * wrong / spoken:.0f}%", *([seen or "never"] if known else [])] for word, spoken, wrong, seen in words
    ]


def _errors(cut: Sequence[Piece]) -> int:
    return sum(piece.errors for piece in cut)


def _words(cut: Sequence[Piece]) -> int:
    return sum(len(piece.said) for piece in cut)
