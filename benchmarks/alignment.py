"""How near are aligned times to true ones? Recognizers of ours, and PocketSphinx, beside labels laid out evenly.

    python benchmarks/alignment.py corpora/demo/test.jsonl runs/hmm runs/phones [--pocketsphinx] [--priors 0 0.5 1] [--within 0.02]

The manifest has texts, and true times of words or phones. Begins and ends are compared of those labels that the fewest edits make stand
for each other, and that are equal: a dictionary has other phones than those that were spoken. Phones are folded as TIMIT's are in scoring;
a closure is part of its stop, and silence is none. Prints a table for the docs, with intervals over utterances.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import SILENCES, Recognizer
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.corpora.readers.timit import TO_39, TO_48
from foresay.statistics.aligned_words import uniform
from foresay.statistics.edit_distance import align
from foresay.statistics.intervals import bootstrap
from foresay.workflows.align import align_corpus
from foresay.workflows.align_with import AlignmentSettings, align_corpus_with
from foresay.workflows.reproductions._tables import markdown
from foresay.workflows.transcribe import load_recognizer

TIERS = ("words", "phones")
CLOSURE = re.compile("([bdgptk])cl")
RELEASES = {"t": ("t", "ch"), "d": ("d", "jh")}
"""Of a closure, beside the stop of its name."""
OTHERS = {"dx": "t", "oh": "aa"}


def labels(item: Item, tier: str) -> list[Interval]:
    """Return the words, or the folded phones, of an item."""
    if tier == "words":
        return [one._replace(label=one.label.lower()) for one in item.words or ()]
    found = list[Interval]()
    closed = ""
    for one in item.phones or ():
        closure = CLOSURE.fullmatch(one.label)
        label = closure[1] if closure else _folded(one.label)
        if closed and label in RELEASES.get(closed, (closed,)) and not closure:
            found[-1] = Interval(found[-1].start, one.end, label)
        elif label:
            found.append(Interval(one.start, one.end, label))
        closed = label if closure else ""
    return found


def _folded(label: str) -> str:
    if label in SILENCES:
        return ""
    label = TO_48.get(label.lower(), label.lower()) or ""
    label = TO_39.get(label, label)
    return OTHERS.get(label, label)


def errors(true: Sequence[Interval], found: Sequence[Interval]) -> NDArray[np.float64]:
    """Return the distances of begins and ends of equal labels: (2 N,) seconds."""
    pairs = align([one.label for one in true], [one.label for one in found]).alignment
    same = ((true[a], found[b]) for a, b in pairs if a is not None and b is not None and true[a].label == found[b].label)
    return np.array([abs(gap) for one, other in same for gap in (one.start - other.start, one.end - other.end)])


def row(name: str, tier: str, found: Sequence[NDArray[np.float64]], labelled: int, within: float) -> list[str]:
    """Write the errors of utterances as a row."""
    every, near = np.concatenate(found), np.array([(one < within).sum() for one in found])
    low, high = bootstrap(near, np.array([len(one) for one in found])) or (np.nan, np.nan)
    share = f"{np.mean(every < within):.1%} [{low:.1%}, {high:.1%}]"
    return [name, tier, share, f"{1000 * every.mean():.1f}", f"{1000 * np.median(every):.1f}", f"{len(every) // 2:,} of {labelled:,}"]


def tiers_of(recognizer: Recognizer) -> tuple[str, ...]:
    """Return what a recognizer gives times to."""
    if recognizer.units != "phones":
        return ("words",)
    return TIERS if recognizer.normalization else ("phones",)  # by a lexicon, or of a manifest's phones alone


def ways(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, tuple[str, ...], Path]]:
    """Align in every way that is asked for: its name, what it gives times to, and the manifest with these."""
    if options.pocketsphinx:
        stripped = folder / "texts.jsonl"
        write_manifest(stripped, (replace(item, words=None, phones=None) for item in Manifest.open(options.manifest)))
        align_corpus(stripped, folder / "pocketsphinx.jsonl", workers=1)
        yield "PocketSphinx", TIERS, folder / "pocketsphinx.jsonl"
    for place, run in enumerate(options.runs):
        recognizer = load_recognizer(run)
        for prior in options.priors:
            target = folder / f"{place}-{prior}.jsonl"
            done = align_corpus_with(recognizer, options.manifest, target, AlignmentSettings(prior))
            known = (item for item in Manifest.open(target) if item.id not in done.left)  # others keep the times that they had
            write_manifest(folder / "known.jsonl", list(known))
            yield Path(run).name + (f", prior {prior:g}" if len(options.priors) > 1 else ""), tiers_of(recognizer), folder / "known.jsonl"


def main() -> None:
    """Align, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--pocketsphinx", action="store_true")
    parser.add_argument("--priors", type=float, nargs="+", default=(0.0,))
    parser.add_argument("--within", type=float, default=0.02, help="seconds")
    options = parser.parse_args()
    items = list(Manifest.open(options.manifest))
    true = {tier: {item.id: labels(item, tier) for item in items} for tier in TIERS}
    counts = {tier: sum(map(len, one.values())) for tier, one in true.items()}
    rows = list[list[str]]()
    with tempfile.TemporaryDirectory() as folder:
        for name, tiers, path in ways(options, Path(folder)):
            for tier in tiers:
                found = [errors(true[tier][item.id], labels(item, tier)) for item in Manifest.open(path)]
                rows.append(row(name, tier, found, counts[tier], options.within))
    for tier in TIERS:
        even = [_even(true[tier][item.id], item.duration) for item in items if true[tier][item.id]]
        rows.append(row("even", tier, even, counts[tier], options.within))
    head = ["aligner", "of", f"within {1000 * options.within:g} ms", "mean, ms", "median, ms", "compared"]
    print(markdown(head, sorted(rows, key=lambda one: TIERS.index(one[1]))))


def _even(true: Sequence[Interval], duration: float) -> NDArray[np.float64]:
    laid = uniform([one.label for one in true], duration)
    return np.abs(laid - [one[:2] for one in true]).ravel()


if __name__ == "__main__":
    main()
