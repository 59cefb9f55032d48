"""Measure what models learnt: any measure on any models, beside the baselines and untrained copies, each number only once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foresay.contracts import FeatureExtractor, Synthesizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_files import SearchFile
from foresay.encoding.subjects import Subject
from foresay.errors import UserError, at_least
from foresay.evaluation.example import examples
from foresay.evaluation.measure import Corpora, Measure, find_measure, list_measures
from foresay.evaluation.recognition._error_rate import ErrorRate
from foresay.evaluation.spoken_examples import spoken_examples
from foresay.fingerprint import fingerprint
from foresay.progress import ProgressBar
from foresay.results import SOUNDS, Result, has_examples, save_examples, writing_results
from foresay.settings import Table, assignment, merge
from foresay.training.devices import find_process
from foresay.version import __version__
from foresay.workflows.candidates import Candidate, find_candidates
from foresay.workflows.ledger import Book, Ledger, refuse_taken_names, reporting_full_disks
from foresay.workflows.readable import with_readable
from foresay.workflows.sounds import keep_sounds


def evaluate(
    models: Sequence[str | Path],
    corpus: str | Path,
    train_corpus: str | Path | None = None,
    valid_corpus: str | Path | None = None,
    *,
    measures: Sequence[str] = (),
    options: Sequence[str] = (),
    searches: Sequence[str | Path] = (),
    layers: Sequence[str] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    again: bool = False,
) -> list[Result]:
    """Measure models on the manifest `corpus`; what learns something itself learns on `train_corpus`, and may choose on `valid_corpus`.

    `models`: runs, `RUN@step`, model folders, other people's checkpoints (`hf:NAME`, a `.pt` file; to be kept in `out`). Every baseline
    that can be, and an untrained copy of each model of ours, is measured beside them.
    `measures`: `NAME:PROTOCOL`, one at least. `options`: `NAME.FIELD=VALUE` for each field of a protocol that shall be otherwise.
    `searches`: files of `foresay lm tune`, for the measures that decode with language models; of several, each recognizer has its own.
    `layers`: of the models, default all. `device`: default a GPU if there is one.

    Results are added to each run's `results.jsonl`, or all of them to `out/results.jsonl`, and returned. What stands there already (of the
    same weights, content of the manifests, measure, protocol, layer, seed and version) is not measured again, unless `again` is asked for.
    Each run gets examples for reports to draw. Recordings that cannot be read are left out of all numbers, counted and listed
    (`readable.py`).

    Raises:
        UserError: no measure is named, or something else cannot be measured; a file of the run is damaged; `out` has numbers of another
            model of the same name; the disk is full.
    """
    _refuse_none(measures)
    at_least(0, seed=seed)
    changes = _options(options, measures)
    chosen = _with_searches([find_measure(name, changes.get(_measure_name(name)), layers or ()) for name in measures], searches)
    place = str(find_process(device).device)
    train, valid = (Manifest.open(path) if path else None for path in (train_corpus, valid_corpus))
    corpora = Corpora(Manifest.open(corpus), train, valid)
    candidates = find_candidates(models, layers, seed, place)
    folder = Path(out) if out else None
    if folder:
        refuse_taken_names(folder, candidates, seed)

    def measured(corpora: Corpora) -> list[Result]:
        results: list[Result] = []
        for measure in ProgressBar(chosen, "measuring", "measure"):
            served = [c for c in candidates if not c.baseline or measure.serves(c.subject.model, corpora)]
            ledger = Ledger(measure, served, corpora, Book.all_of(served, folder), seed, again=again)
            for some in _by_copy(served):
                if missing := _missing(some, ledger):
                    ledger.refuse_closed()
                    ledger.add(measure(missing, corpora, seed=seed, device=place))
            results += ledger.close()
        for candidate in candidates:
            _keep_examples(candidate, corpora.test, seed, place)
        return results

    return with_readable(corpora, [book.folder for book in Book.all_of(candidates, folder)], measured)


def _refuse_none(measures: Sequence[str]) -> None:
    """Papers disagree about how to measure, and the number depends on it: nobody may choose for the user."""
    if any(measure.strip() for measure in measures):
        return
    msg = (
        f"say what shall be measured: --measures NAME:PROTOCOL, with commas between. There are {', '.join(list_measures())}. With phone "
        "times and minutes to hours of speech, probe:converged (how well phones can be read off) and abx:phone (how they lie to each "
        "other) say most; probe:paper is for comparison with papers, on their hundred hours; without labels there are slowness:k50 and "
        "similarity:cosine. docs/evaluation.md lists them all"
    )
    raise UserError(msg)


def _options(texts: Sequence[str], measures: Sequence[str]) -> Table:
    """Read `NAME.FIELD=VALUE` into a table for each measure."""
    table: Table = {}
    names = sorted({_measure_name(measure) for measure in measures})
    for text in texts:
        name, _, field = text.partition("=")[0].rpartition(".")
        if "=" not in text or not field or name not in names:
            msg = f"--option takes MEASURE.FIELD=VALUE, of a measure that is asked for ({', '.join(names)}), not {text!r}"
            raise UserError(msg)
        table[name] = merge(table.get(name, {}), assignment(text.removeprefix(f"{name}.")))
    return table


def _measure_name(measure: str) -> str:
    return measure.partition(":")[0]


def _with_searches(measures: Sequence[Measure[Any]], files: Sequence[str | Path]) -> list[Measure[Any]]:
    """Give searches to the measures of text."""
    if files and not any(isinstance(measure, ErrorRate) for measure in measures):
        msg = f"--search {files[0]} is for error rates (wer:ngram, wer:transformer), and none is among the measures"
        raise UserError(msg)
    searches = [SearchFile.read(path) for path in files]
    return [measure.with_searches(searches) if isinstance(measure, ErrorRate) else measure for measure in measures]


def _missing(candidates: Sequence[Candidate], ledger: Ledger) -> list[Subject]:
    """The candidates with the layers that were not measured yet."""
    missing = []
    copies: dict[tuple[Subject, tuple[str, ...]], Subject] = {}  # what several steps of a run share is measured once
    for subject in (candidate.subject for candidate in candidates):
        if layers := ledger.missing(subject):
            copy = subject.untrained
            shared_copy = copy and copies.setdefault((copy, layers), replace(copy, layers=layers))
            missing.append(replace(subject, layers=layers, untrained=shared_copy))
    return missing


def _by_copy(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Put together those that share their untrained copy: what one measures at once, so that a kill loses no more."""
    groups: dict[Subject, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.subject.untrained or candidate.subject, []).append(candidate)
    return list(groups.values())


def _keep_examples(candidate: Candidate, manifest: Manifest, seed: int, device: str) -> None:
    """Give a run utterances to draw, or speech to play, unless it has all of those of these weights and this corpus."""
    model = candidate.subject.model
    if candidate.run is None or not candidate.finished:
        return
    stamp = fingerprint(candidate.fingerprints[candidate.subject], manifest.digest, seed, __version__)
    if isinstance(model, Synthesizer):
        if not has_examples(candidate.run, stamp, SOUNDS):
            keep_sounds(candidate.run, spoken_examples(model, manifest, seed=seed, device=device), stamp)
        return
    if not isinstance(model, FeatureExtractor) or "audio" not in model.modalities or has_examples(candidate.run, stamp):
        return
    found = examples(model, manifest, seed=seed, device=device)
    with reporting_full_disks(candidate.run), writing_results(candidate.run):
        save_examples(candidate.run, found, stamp)
