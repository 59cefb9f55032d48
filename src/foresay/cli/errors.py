"""Show what recognizers get wrong, side by side: the most frequent errors, and transcripts with their errors in capitals.

It reads what `foresay evaluate` kept. `foresay report` shows the same and more on a page, with sound.

Example:
    foresay evaluate runs/asr --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --measures wer:greedy
    foresay errors runs/asr
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.cli._table import print_table
from foresay.errors import at_least
from foresay.reports.error_analysis import KINDS, Analysis, differently_written, table_11, utterances, wrong_words
from foresay.reports.wording import amount, spread
from foresay.statistics.word_errors import DELETED
from foresay.workflows.errors import errors


@dataclass(frozen=True)
class Options:
    """Which recognizers, and how much of each."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or of `foresay evaluate --out`."""
    most: int = 10
    """Rows of each table of errors, at most 25."""
    transcripts: int = 6
    """Utterances, at equally spaced quantiles of the error rate."""


def run(arguments: list[str]) -> None:
    """Print an analysis for each corpus."""
    options = tyro.cli(Options, prog="foresay errors", args=arguments, description=__doc__)
    at_least(0, most=options.most, transcripts=options.transcripts)
    for one in errors(options.runs):
        print(f"\n{one.title} on {one.corpus}\n")
        _print_rates(one)
        _print_errors(one, options.most)
        _print_transcripts(one, options.transcripts)


def _print_rates(one: Analysis) -> None:
    metrics = list(dict.fromkeys(metric for system in one.systems for metric in system.rates))
    rows = []
    for system in one.systems:
        rates = [system.rates.get(metric) for metric in metrics]
        rows.append([system.name, *(f"{amount(r.value, unit=r.unit)} ({spread(r)})" if r else "" for r in rates)])
    print_table([["", *(f"{metric} (%)" for metric in metrics)], *rows])
    if differently_written(one.systems):
        print("They write the texts in different ways (their normalization differs): their rates do not compare.")


def _print_errors(one: Analysis, most: int) -> None:
    for kind, title in KINDS.items():
        head, rows = table_11(one.systems, kind, most)
        if rows:
            print(f"\n{title}")
            print_table([head, *rows])
    for system in one.systems:
        head, words = wrong_words(system)
        if words[:most]:
            print(f"\n{one.unit.capitalize()}s most often wrong, {system.name}")
            print_table([head, *(list(map(str, cells)) for cells in words[:most])])


def _print_transcripts(one: Analysis, count: int) -> None:
    shown = utterances(one.systems, count)
    if shown:
        print(f"\nTranscripts: errors are in capitals; {DELETED} is a missing {one.unit}.")
    width = max(len("Reference"), *(len(system.name) for system in one.systems))
    for utterance in shown:
        print(f"\n{utterance.id}")
        lines = {"Reference": utterance.reference, **{line.system.name: line.text for line in utterance.transcripts}}
        for name, text in lines.items():
            print(f"{name:{width}}  {text}".rstrip())
