"""The section on recognizers' errors: the most frequent ones (Table 11), transcripts with sound (Table 12), and where they are.

The forms are those of wav2vec 2.0 (arXiv:2006.11477, appendix E).
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from foresay.evaluation.recognition.kept import Group
from foresay.reports.canvas import dot, draw, legend, series_color
from foresay.reports.comparisons import Comparison
from foresay.reports.error_analysis import (
    KINDS,
    Analysis,
    ComparedUtterance,
    System,
    analyses,
    differently_written,
    table_11,
    utterances,
    wrong_words,
)
from foresay.reports.example import flac
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.phone_confusions import confusions
from foresay.reports.wording import amount, plural, spread
from foresay.results import Result
from foresay.statistics.word_errors import DELETED

LISTED = 25
"""Rows of a table of errors."""
UTTERANCES = 6
"""As many as Table 12 has."""
NAMED = 24
"""Speakers whose names stand below a figure, at most."""
BY = {"length": "By length of the utterance ({}s)", "frequency": "By how often training had the {}", "speaker": "By speaker"}


def errors_section(comparisons: Sequence[Comparison]) -> Html:
    """Show what recognizers get wrong, corpus by corpus; nothing where nothing was recognized."""
    return join(_analysis(one, f"errors-{number}") for number, one in enumerate(analyses(comparisons), start=1))


def _analysis(one: Analysis, name: str) -> Html:
    parts = [tag("h3", f"{one.title} on {one.corpus}")]
    if differently_written(one.systems):
        text = "The recognizers write the texts of this corpus in different ways (their normalization differs): their rates do not compare."
        parts.append(tag("p", text, class_="missing"))
    parts += [
        _rates(one.systems),
        *_frequent(one),
        *_transcripts(one),
        *_groups(one.systems, name),
        *(confusions(one.systems, name) if one.unit == "phone" else []),
    ]
    return tag("div", *parts)


def _rates(systems: Sequence[System]) -> Html:
    """All rates of all systems, over their intervals."""
    metrics = list(dict.fromkeys(metric for system in systems for metric in system.rates))
    rows = [row(_named(system), *(_rate(system.rates.get(metric)) for metric in metrics)) for system in systems]
    return table(["", *(f"{metric} (%)" for metric in metrics)], rows, class_="wide")


def _rate(result: Result | None) -> str:
    return "" if result is None else join([amount(result.value, unit=result.unit), tag("small", spread(result))])


def _named(system: System) -> Html:
    return join([dot(system.color), system.name])


def _frequent(one: Analysis) -> list[Html]:
    """The tables of frequent errors: substitutions at once, the rest to be folded out."""
    systems = one.systems
    tables = {kind: table_11(systems, kind, LISTED) for kind in KINDS}
    built = {
        kind: table(head, [tag("tr", *(tag("td", cell) for cell in cells)) for cells in rows])
        for kind, (head, rows) in tables.items()
        if rows
    }
    if not built:
        return [tag("p", "There is no error.", class_="caption")]
    text = "What was said, what was recognized, and how often: the most frequent errors first, equal ones by alphabet."
    parts = [tag("h4", "Most frequent errors"), tag("p", text, class_="caption")]
    for place, (kind, content) in enumerate(built.items()):
        parts.append(tag("details", tag("summary", KINDS[kind]), content, open=place == 0))
    for system in systems:
        head, rows = wrong_words(system)
        words = table(head, [row(str(word), *map(str, cells)) for word, *cells in rows])
        title = f"{one.unit.capitalize()}s most often wrong" + (f": {system.name}" if len(systems) > 1 else "")
        parts.append(tag("details", tag("summary", title), words))
    return parts


def _transcripts(one: Analysis) -> list[Html]:
    shown = utterances(one.systems, UTTERANCES, playable=True)
    if not shown:
        return []
    text = f"{plural(len(shown), 'utterance')} at equally spaced quantiles of the error rate, the lowest first. "
    text += f"Errors are in capitals; {DELETED} is a missing {one.unit}."
    return [tag("h4", "Transcripts"), tag("p", text, class_="caption"), *(_utterance(each) for each in shown)]


def _utterance(one: ComparedUtterance) -> Html:
    lines = [row("Reference", one.reference, "")]
    for transcript in one.transcripts:
        words = join([_run_of_words(list(group), wrong=wrong) for wrong, group in groupby(transcript.words, lambda word: word[1])], " ")
        lines.append(row(_named(transcript.system), words, f"{transcript.errors} of {one.words}"))
    player = [] if one.sound is None else [tag("audio", controls=True, preload="metadata", src=flac(one.sound, one.sample_rate))]
    return tag("div", tag("p", tag("code", one.id), class_="caption"), *player, table([], lines, class_="transcripts"), class_="utterance")


def _run_of_words(words: Sequence[tuple[str, bool]], *, wrong: bool) -> str:
    text = " ".join(word for word, _ in words)
    return tag("span", text, class_="wrong") if wrong else text


def _groups(systems: Sequence[System], name: str) -> list[Html]:
    """Error rates of groups, a figure each."""
    parts = []
    for by, title in BY.items():
        having = [system for system in systems if system.kept.groups.get(by)]
        if having:
            parts.append(tag("figure", _draw_groups(having, by, title.format(having[0].kept.unit), f"{name}-{by}")))
    if not parts:
        return []
    names = {system.color: system.name for system in systems}
    text = "Error rate, with 95% intervals that draw utterances again; groups of fewer than five utterances have none."
    if not any(system.kept.groups.get("frequency") for system in systems):
        text += " With --train-corpus, the corpus of the fine-tuning, evaluation also counts how often training had each word."
    head = [tag("h4", "Where the errors are"), tag("p", text, class_="caption"), *([legend(names)] if len(systems) > 1 else [])]
    return [*head, tag("div", *parts, class_="panels")]


def _draw_groups(systems: Sequence[System], by: str, title: str, name: str) -> Html:
    found = [{group.label: group for group in system.kept.groups[by]} for system in systems]
    labels = list(dict.fromkeys(label for groups in found for label in groups))
    if by != "speaker":
        labels.sort(key=lambda label: int(label.split()[0].replace(",", "")))

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        for place, (system, groups) in enumerate(zip(systems, found, strict=True)):
            shift = 0.6 * ((place + 0.5) / len(systems) - 0.5)
            color = series_color(system.color)
            known = [(x + shift, groups[label]) for x, label in enumerate(labels) if label in groups]
            look = {"color": color, "marker": "o", "linewidth": 0.8, "linestyle": "none" if by == "speaker" else "-"}
            axes.plot([x for x, _ in known], [100 * group.rate for _, group in known], **look)
            for x, group in known:
                _interval(axes, x, group, color)
        axes.set_ylim(bottom=0.0)
        named = labels if len(labels) <= NAMED else []
        axes.set_xticks(range(len(named)), labels=named, rotation=90 if by == "speaker" else 0)
        axes.grid(visible=False, axis="x")
        axes.set(title=title, ylabel="error rate (%)")

    return draw(name, title, (4.8, 3.0 if by != "speaker" else 3.4), paint)


def _interval(axes: Any, x: float, group: Group, color: str) -> None:  # noqa: ANN401
    if group.low is not None and group.high is not None:
        axes.vlines(x, 100 * group.low, 100 * group.high, color=color, linewidth=1.2)
