"""SUPERB: the ten tasks on frozen models, each number only once, a model after the other, so that its features are kept for all tasks.

    CORPUS/TASK/{train,valid,test}.jsonl --> task, heads learnt side by side --> results.jsonl --> table, score, agreement of heads

A task without its manifests is left out and named, unless it was asked for. Emotion recognition may have folds, a folder each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from foresay.corpora.made.superb import MiniatureSuperb
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError, at_least, nearest
from foresay.evaluation.measure import Corpora, Measure, find_measure
from foresay.evaluation.superb._task import Stores
from foresay.progress import ProgressBar, stage
from foresay.results import Result
from foresay.settings import Table, assignment, merge
from foresay.training.devices import find_process
from foresay.workflows.candidates import Candidate, find_candidates
from foresay.workflows.ledger import Book, Ledger, refuse_taken_names
from foresay.workflows.readable import with_readable

TASKS = {
    "pr": "phoneme_recognition",
    "asr": "speech_recognition",
    "ks": "keyword_spotting",
    "qbe": "query_by_example",
    "sid": "speaker_identification",
    "asv": "speaker_verification",
    "sd": "diarization",
    "er": "emotion_recognition",
    "ic": "intent_classification",
    "sf": "slot_filling",
}
"""Their folders, in the order of the paper's table, and their files."""
EMBEDDED, EMBEDDED_FOLDER = "embedded", Path("superb-corpus")
BASELINE = "logmel"
"""What the others are compared with: the published table has filter banks."""
SOURCES = {
    "pr": "LibriSpeech with phones (foresay corpus import librispeech, then foresay corpus align)",
    "asr": "LibriSpeech (foresay corpus import librispeech SRC asr --train train-clean-100 --valid dev-clean --test test-clean)",
    "ks": "Speech Commands v0.01 (foresay corpus import speech-commands SRC ks)",
    "qbe": "QUESST 2014 (foresay corpus import quesst14 SRC qbe)",
    "sid": "VoxCeleb1 (foresay corpus import voxceleb1 SRC sid --task sid)",
    "asv": "VoxCeleb1 (foresay corpus import voxceleb1 SRC asv --task asv)",
    "sd": "Libri2Mix (foresay corpus import libri2mix SRC sd)",
    "er": "IEMOCAP (foresay corpus import iemocap SRC er)",
    "ic": "Fluent Speech Commands (foresay corpus import fluent-speech-commands SRC ic)",
    "sf": "Audio SNIPS (foresay corpus import audio-snips SRC sf)",
}
"""Where the manifests of each come from."""
MANIFESTS = {"qbe": (None, "valid-queries.jsonl", "test-queries.jsonl")}
"""Train, valid and test, where they have other names."""


@dataclass(frozen=True)
class TenTasks:
    """What was found, and what was not."""

    results: list[Result]
    left_out: dict[str, str] = field(default_factory=dict)
    """Tasks that were not measured, and why."""


def superb(
    models: Sequence[str | Path],
    corpus: str | Path,
    *,
    protocol: str | None = None,
    tasks: Sequence[str] = (),
    options: Sequence[str] = (),
    layers: Sequence[str] | None = None,
    out: str | Path | None = None,
    budget: float | None = None,
    stores: Stores | None = None,
    seed: int = 0,
    device: str | None = None,
    again: bool = False,
) -> TenTasks:
    """Measure models on the tasks of SUPERB.

    Args:
        models: Runs, `RUN@step`, model folders, baselines, other people's checkpoints (to be kept in `out`). Log-mel stands beside them.
        corpus: A folder with a folder for each task; or `embedded`, the miniature, made in `superb-corpus` or below `out`.
        protocol: `superb`, as published; `clean`, all chosen on valid; `tiny`, the same in minutes, for the miniature. Heads of another
            protocol are others: only for the miniature one is chosen, `tiny`.
        tasks: Their folders' names; none: all that the corpus has.
        options: `TASK.FIELD=VALUE` for fields of the protocol of a task that shall be otherwise.
        layers: Of the models; None: all.
        out: Folder for results.jsonl; None: each run's own.
        budget: Seconds of learning, shared by all pairs of a model and a task; None: as many updates as the protocol has.
        stores: Where features are kept while they are needed; None: among the system's temporary files, 20 GB at most.
        seed: Of the heads' starts, the order of utterances, and intervals.
        device: As of PyTorch; None: a GPU if there is one.
        again: Measure again what stands in the results already.

    Raises:
        UserError: a task is unknown or lacks its manifests, no protocol is named, a model cannot be loaded.
    """
    at_least(0, seed=seed)
    folder = Path(out) if out else None
    corpus, protocol = _where_and_how(corpus, protocol, folder)
    found, left_out = _corpora(corpus, tasks)
    changes = _options(options, [task for task, _ in found])
    place = str(find_process(device).device)
    candidates = _candidates(models, layers, seed, place)
    if folder:
        refuse_taken_names(folder, candidates, seed)
    learning = sum(corpora.train is not None for _, corpora in found) * len(candidates)
    share = None if budget is None else budget / max(1, learning)
    measures = [_measure(name, protocol, changes.get(name, {}), layers or (), share, corpora) for name, corpora in found]
    work = _Work(Book.all_of(candidates, folder), stores or Stores(), seed, place, again)
    pairs = [(candidate, number) for candidate in candidates for number in range(len(found))]
    results: list[list[Result]] = [[] for _ in found]
    for candidate, number in ProgressBar(pairs, "SUPERB", "task of a model"):
        results[number] += work.of(candidate, measures[number], found[number][1])
    return TenTasks([row for rows in results for row in rows], left_out)


class _Work(NamedTuple):
    """How all tasks are measured."""

    books: Sequence[Book]
    stores: Stores
    seed: int
    device: str
    again: bool

    def of(self, candidate: Candidate, measure: Any, corpora: Corpora) -> list[Result]:  # noqa: ANN401 - with a `store`
        """Measure a task of a model, without recordings that cannot be read, or look it up."""
        measure.store = self.stores.only(candidate.subject)

        def measured(corpora: Corpora) -> list[Result]:
            ledger = Ledger(measure, [candidate], corpora, self.books, self.seed, again=self.again)
            if ledger.missing(candidate.subject):
                ledger.refuse_closed()
                ledger.add(measure([candidate.subject], corpora, seed=self.seed, device=self.device))
            return ledger.close()

        return with_readable(corpora, [book.folder for book in self.books], measured)


def _where_and_how(corpus: str | Path, protocol: str | None, folder: Path | None) -> tuple[Path, str]:
    """Return the corpus, made if it is the miniature, and the protocol."""
    if str(corpus) == EMBEDDED:
        place = folder / EMBEDDED_FOLDER if folder else EMBEDDED_FOLDER
        with stage(f"making the miniature of SUPERB in {place}"):
            MiniatureSuperb().make(place)
        return place, protocol or "tiny"
    if protocol is None:
        msg = (
            "say how heads learn: --protocol superb (as published, some of it chosen on the test), clean (the same heads, chosen on "
            "valid), or tiny (small heads for minutes of speech). Numbers of different protocols cannot be compared"
        )
        raise UserError(msg)
    return Path(corpus), protocol


def _candidates(models: Sequence[str | Path], layers: Sequence[str] | None, seed: int, device: str) -> list[Candidate]:
    """Load the models, without untrained copies, and the baseline."""
    asked = {BASELINE, *map(str, models)}
    found = [one for one in find_candidates(models, layers, seed, device) if not one.baseline or one.subject.name in asked]
    return [one.alone for one in found]


def _measure(task: str, protocol: str, changes: Table, layers: Sequence[str], seconds: float | None, corpora: Corpora) -> Measure[Any]:
    """Find the measure of a task, with a share of the budget if it learns."""
    if seconds is not None and corpora.train:
        changes = {**changes, "seconds": max(0.1, round(seconds, 1))}
    return find_measure(f"{TASKS[task]}:{protocol}", changes, layers)


def _options(texts: Sequence[str], tasks: Sequence[str]) -> dict[str, Table]:
    """Read `TASK.FIELD=VALUE` into a table for each task."""
    found: dict[str, Table] = {}
    for text in texts:
        task, dot, change = text.partition(".")
        if not dot or task not in tasks or "=" not in change:
            msg = f"--option takes TASK.FIELD=VALUE, of a task that is measured ({', '.join(tasks)}), not {text!r}"
            raise UserError(msg)
        found[task] = merge(found.get(task, {}), assignment(change))
    return found


def _corpora(corpus: Path, asked: Sequence[str]) -> tuple[list[tuple[str, Corpora]], dict[str, str]]:
    """Open the manifests of each task; say why those that were not asked for by name are left out.

    Raises:
        UserError: a task is unknown, or one that was asked for lacks its manifests, or all do.
    """
    asked = list(dict.fromkeys(task.strip() for task in asked))
    for task in asked:
        if task not in TASKS:
            msg = f"there is no task {task!r}: {nearest(task, TASKS)}"
            raise UserError(msg)
    if not corpus.is_dir():
        msg = f"there is no folder {corpus}: it holds a folder for each task, as `foresay corpus make superb {corpus}` makes them"
        raise UserError(msg)
    found: list[tuple[str, Corpora]] = []
    left_out = {}
    for task in asked or TASKS:
        lacking = ""
        for folder in sorted((corpus / task).glob("fold*")) or [corpus / task]:
            names = MANIFESTS.get(task, ("train.jsonl", "valid.jsonl", "test.jsonl"))
            if missing := [str(folder / name) for name in names if name and not (folder / name).is_file()]:
                lacking = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: {SOURCES[task]}"
            else:
                train, valid, test = (Manifest.open(folder / name) if name else None for name in names)
                assert test is not None  # noqa: S101 - it has a name in all tasks
                found.append((task, Corpora(test, train, valid)))
        if lacking and asked:
            raise UserError(lacking)
        if lacking:
            left_out[task] = lacking
    if not found:
        msg = f"{corpus} has no task of SUPERB: {next(iter(left_out.values()))}; or --corpus {EMBEDDED}, a miniature made here"
        raise UserError(msg)
    return found, left_out
