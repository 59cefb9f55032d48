"""Measure what models learnt: any measure on any models, beside the baselines and untrained copies, each number only once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foresay.contracts import FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.example import examples
from foresay.evaluation.fingerprint import fingerprint
from foresay.evaluation.measure import Corpora, Subject, find_measure, list_measures
from foresay.progress import ProgressBar
from foresay.results import Result, has_examples, save_examples, writing_results
from foresay.settings import Table, assignment, merge
from foresay.training.devices import find_place
from foresay.version import __version__
<<<<<<< HEAD
from foresay.workflows.readable import with_readable

RESULTS = "results.jsonl"
=======
from foresay.workflows.candidates import Candidate, find_candidates
from foresay.workflows.ledger import Book, Ledger, full_disk_told
>>>>>>> ef7866f (Measures declare their metrics; results know whose they are and what was drawn; no interval over fewer than five (B1, B2, B3, B10, B16, B17, B20))


def evaluate(
    models: Sequence[str | Path],
    corpus: str | Path,
    train_corpus: str | Path | None = None,
    *,
    measures: Sequence[str] = (),
    options: Sequence[str] = (),
    layers: Sequence[str] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    again: bool = False,
) -> list[Result]:
    """Measure models on the manifest `corpus`; measures that learn something themselves learn it on `train_corpus`.

    `models`: runs, `RUN@step`, model folders, other people's checkpoints (`hf:NAME`, a `.pt` file; to be kept in `out`). Every baseline
    that can be, and an untrained copy of each model of ours, is measured beside them.
    `measures`: `NAME:PROTOCOL`, one at least. `options`: `NAME.FIELD=VALUE` for each field of a protocol that shall be otherwise.
    `layers`: of the models, default all. `device`: default a GPU if there is one.

    Results are added to each run's `results.jsonl`, or all of them to `out/results.jsonl`, and returned. What stands there already (of the
<<<<<<< HEAD
    same weights, manifests, measure, protocol, layer, seed and version) is not measured again, unless `again` is asked for.
    Each run gets examples for reports to draw. Recordings that cannot be read are left out of all numbers, counted and listed
    (`readable.py`).
=======
    same weights, content of the manifests, measure, protocol, layer, seed and version) is not measured again, unless `again` is asked for.
    Each run gets examples for reports to draw.

    Raises:
        UserError: no measure is named, or something else cannot be measured; a file of the run is damaged; the disk is full.
>>>>>>> ef7866f (Measures declare their metrics; results know whose they are and what was drawn; no interval over fewer than five (B1, B2, B3, B10, B16, B17, B20))
    """
    _refuse_none(measures)
    changes = _options(options, measures)
    chosen = [find_measure(name, changes.get(_measure_name(name))) for name in measures]
    place = str(find_place(device).device)
    corpora = Corpora(Manifest.open(corpus), Manifest.open(train_corpus) if train_corpus else None)
<<<<<<< HEAD
    candidates = _candidates(models, layers, seed, place)
    folders = [Path(out)] if out else list(dict.fromkeys(c.run for c in candidates if c.run))

    def measured(corpora: Corpora) -> list[Result]:
        results: list[Result] = []
        for measure in ProgressBar(chosen, "measuring", "measure"):
            served = [c for c in candidates if not c.baseline or measure.serves(c.subject.model, corpora)]
            results += _measure(measure, served, corpora, folders, seed, place, again=again, alone=bool(out))
        for candidate in candidates:
            _keep_examples(candidate, corpora.test, seed, place)
        return results

    return with_readable(corpora, folders, measured)
=======
    candidates = find_candidates(models, layers, seed, place)
    results: list[Result] = []
    for measure in ProgressBar(chosen, "measuring", "measure"):
        served = [c for c in candidates if not c.baseline or measure.serves(c.subject.model, corpora)]
        ledger = Ledger(measure, served, corpora, Book.all_of(served, Path(out) if out else None), seed, again=again)
        for some in _by_copy(served):
            if missing := _missing(some, ledger):
                ledger.add(measure(missing, corpora, seed=seed, device=place))
        results += ledger.close()
    for candidate in candidates:
        _keep_examples(candidate, corpora.test, seed, place)
    return results
>>>>>>> ef7866f (Measures declare their metrics; results know whose they are and what was drawn; no interval over fewer than five (B1, B2, B3, B10, B16, B17, B20))


def _refuse_none(measures: Sequence[str]) -> None:
    """Papers disagree about how to measure, and the number depends on it: nobody may choose for the user."""
    if any(measure.strip() for measure in measures):
        return
    msg = (
        f"say what shall be measured: --measures NAME:PROTOCOL, with commas between. There are {', '.join(list_measures())}. With phone "
        "times and minutes to hours of speech, probe:converged (how well phones can be read off) and abx:phone (how they lie to each "
        "other) say most; probe:paper is for comparison with papers, on their hundred hours; without labels there are slowness:k50 and "
        "similarity:cosine. docs/evaluation.md tells them all"
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


<<<<<<< HEAD
def _candidates(models: Sequence[str | Path], layers: Sequence[str] | None, seed: int, device: str) -> list[_Candidate]:
    """Load the models, and after them the baselines, which are always there and have the layers they have."""
    baselines = list_names("foresay.baselines")
    ours = [str(model) for model in models if str(model) not in baselines and not is_foreign(str(model))]
    given = {_folder_and_step(model): model for model in ours}
    names = _short_names([folder for folder, _ in given])
    candidates: list[_Candidate] = []
    copies: dict[Path, Subject] = {}  # shared by all steps of a run
    for (folder, step), text in given.items():
        extractor = load(text, device)
        run = folder if Run(folder).recipe.exists() else None
        subject = Subject(names[folder], extractor, tuple(layers or extractor.layer_names), step, image_side=_image_side(run))
        if isinstance(extractor, SpeechModel):
            if folder not in copies:
                copy = _untrained(extractor, seed, device)
                copies[folder] = replace(subject, name=f"{subject.name} (untrained)", model=copy, step=None)
            subject = replace(subject, untrained=copies[folder])
        candidates.append(_Candidate(subject, run, finished=Path(text).resolve() == folder))
    for name in dict.fromkeys(str(model) for model in models if is_foreign(str(model))):
        extractor = load(name, device)
        candidates.append(_Candidate(Subject(name, extractor, tuple(layers or extractor.layer_names))))
    for name in baselines:
        extractor = load(name, device)
        candidates.append(_Candidate(Subject(name, extractor, extractor.layer_names), baseline=True))
    return candidates


def _image_side(run: Path | None) -> int:
    """Pixels of the pictures that a run learnt from, or as many as in any recipe that does not say."""
    recipe = read_toml(Run(run).recipe.read_text(encoding="utf-8"), str(run)) if run else {}
    return int(recipe.get("data", {}).get("image_side", Subject.image_side))


def _folder_and_step(model: str) -> tuple[Path, int | None]:
    """Take `RUN@step` apart; a model without a step says itself how far it was trained."""
    folder, at, step = model.rpartition("@")
    if at and step.isdigit():
        return Path(folder).resolve(), int(step)
    description, _ = locate(model)
    return Path(model).resolve(), read_toml(description.read_text(encoding="utf-8"), str(description)).get("step")


def _short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """Name folders by as few of their last parts as tell all of them apart."""
    different = set(folders)
    for depth in range(1, max((len(folder.parts) for folder in different), default=0) + 1):
        names = {folder: "/".join(folder.parts[-depth:]) for folder in different}
        if len(set(names.values())) == len(different):
            return names
    return {}


def _untrained(model: SpeechModel, seed: int, device: str) -> SpeechModel:
    """Build the model anew: the same network, which has heard nothing."""
    with draws.torch_seeded("weights", seed):
        copy: SpeechModel = type(model)(model.settings)
    return copy.to(device).eval()


def _measure(
    measure: Measure,
    candidates: Sequence[_Candidate],
    corpora: Corpora,
    folders: Sequence[Path],
    seed: int,
    device: str,
    *,
    again: bool,
    alone: bool,
) -> list[Result]:
    """Return the rows of all candidates: those known by their fingerprint, and the others, each written down as soon as it is measured.

    `alone`: there is one folder, for everything; else a run's rows go to its own.
    """
    manifests = [manifest and manifest.digest for manifest in (corpora.test, corpora.train)]
    context = (measure.name, measure.protocol, manifests, seed, __version__, *map(of_file, measure.files))
    shared = fingerprint(context)  # of rows that are no candidate's, such as the majority class
    prints = {(s.name, s.step): fingerprint(context, s.name, s.step, of_weights(s.model)) for c in candidates for s in c.both}
    known = [] if again else [result for folder in folders for result in read_results(folder / RESULTS)]
    rows = {_key(result): result for result in known}
    done = {(result.details.get("fingerprint"), result.layer) for result in known}
    elsewhere = {folder: {s.name for c in candidates if c.run and c.run != folder and not alone for s in c.both} for folder in folders}
    asked = dict.fromkeys((prints[s.name, s.step], layer) for c in candidates for s in c.both for layer in s.layers)
    place = {who: number for number, who in enumerate(asked)}

    def in_order(rows: Iterable[Result]) -> list[Result]:  # known or new, in that of the candidates
        return sorted(rows, key=lambda row: place.get((row.details["fingerprint"], row.layer), len(place)))

    def write(rows: Sequence[Result]) -> None:
        for folder in folders:
            there = set() if again else {_key(result) for result in read_results(folder / RESULTS)}
            new = [row for row in rows if row.model not in elsewhere[folder] and _key(row) not in there]
            append_results(folder / RESULTS, new)
            save_draws(folder, new)

    fresh: list[Result] = []
    for some in _by_copy(_missing(candidates, prints, done)):
        found: dict[_Key, Result] = {}
        for result in measure(some, corpora, seed=seed, device=device):
            stamp = prints.get((result.model, result.step), shared)
            stamped = replace(result, details={**result.details, "fingerprint": stamp})
            if _key(stamped) not in rows:  # the majority class comes along every time
                found[_key(stamped)] = stamped
        rows |= found
        write(in_order(row for key, row in found.items() if key[0] != shared))
        fresh += [row for key, row in found.items() if key[0] == shared]
    # What a measure finds beside the layers (such as `posterior`) comes along with them.
    own = {prints[s.name, s.step]: s.model.layer_names for c in candidates for s in c.both}
    wanted = in_order(
        row
        for key, row in rows.items()
        if key[0] == shared or (key[0], row.layer) in asked or (key[0] in own and row.layer not in own[key[0]])
    )
    write(fresh if again else wanted)  # of several runs, one may have known what another did not
    return wanted


def _missing(
    candidates: Sequence[_Candidate], prints: Mapping[tuple[str, int | None], str], done: Container[tuple[str | None, str]]
) -> list[Subject]:
=======
def _missing(candidates: Sequence[Candidate], ledger: Ledger) -> list[Subject]:
>>>>>>> ef7866f (Measures declare their metrics; results know whose they are and what was drawn; no interval over fewer than five (B1, B2, B3, B10, B16, B17, B20))
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
    """Give a run utterances to draw, unless it has all of those of these weights and this corpus."""
    extractor = candidate.subject.model
    if candidate.run is None or not candidate.finished:
        return
    if not isinstance(extractor, FeatureExtractor) or "audio" not in extractor.modalities:
        return
<<<<<<< HEAD
    stamp = fingerprint(of_weights(extractor), manifest.digest, seed, __version__)
    kept = load_artifact(candidate.run, f"{EXAMPLE}1")
    if kept is None or kept["fingerprint"] != stamp:
        for number, arrays in enumerate(examples(extractor, manifest, seed=seed, device=device), start=1):
            save_artifact(candidate.run, f"{EXAMPLE}{number}", {**arrays, "fingerprint": np.array(stamp)})
=======
    stamp = fingerprint(candidate.fingerprints[candidate.subject], manifest.digest, seed, __version__)
    if has_examples(candidate.run, stamp):
        return
    found = examples(extractor, manifest, seed=seed, device=device)
    with full_disk_told(candidate.run), writing_results(candidate.run):
        save_examples(candidate.run, found, stamp)
>>>>>>> ef7866f (Measures declare their metrics; results know whose they are and what was drawn; no interval over fewer than five (B1, B2, B3, B10, B16, B17, B20))
