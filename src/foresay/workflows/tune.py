"""Find the weights of a search on a development set: encode it once, search it, rank its n-best lists at many points, write the best."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foresay import progress
from foresay.corpora.item import Transcript, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.decoding.rescoring import NBest
from foresay.decoding.search import Rescored, Search
from foresay.decoding.tuning import Tuned, tune, tune_search
from foresay.decoding.weights import Weights, nearest_labels, published
from foresay.encoding.kept_emissions import KeptEmissions
from foresay.encoding.search_files import SearchFile, Tuning, digests
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import UserError
from foresay.files import make_folder, write_text
from foresay.fingerprint import of_model
from foresay.loading import is_foreign
from foresay.reports.surface import draw_surface
from foresay.runs import Run
from foresay.statistics.edit_distance import edit_distance
from foresay.training.devices import find_process
from foresay.workflows.candidates import folder_and_step
from foresay.workflows.transcribe import load_recognizer

EMISSIONS, PICTURE = ".emissions", ".svg"
_TEST = re.compile(r"(^|[-_.])test([-_.]|$)")
UNKNOWN_HOURS = 10.0
"""Of labelled speech: that is where the published weights are taken from which the search begins with."""


@dataclass(frozen=True)
class TunedSearch:
    """What was found."""

    file: SearchFile
    first: Tuned
    """Weights of the search: its language model, and words."""
    second: Tuned | None
    """Weights of the second language model, and of words beside the first."""
    rate: float
    """Word error rate of the search with its weights, without the second language model."""
    greedy: float
    """Word error rate of the best paths."""
    best: float
    """Of the hypotheses with the fewest errors in the n-best lists: what no weights can do better than."""
    outside: float | None
    """Share of the words said that the search can never write; None: it can write any."""
    utterances: int
    words: int
    known: bool
    """Whether the emissions were there before."""
    pictures: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Development:
    """Emissions and what was said."""

    kept: KeptEmissions
    references: Sequence[str]
    width: int
    device: str

    def search(self, search: Search) -> NBest:
        """Search all recordings: lists in the order of the references."""
        lists: dict[int, NBest] = {}
        for places, emissions in self.kept.batches(self.width, self.device):
            lists |= {place: [found] for place, found in zip(places, search(emissions, self.width), strict=True)}
        return [lists[place][0] for place in range(len(self.kept.ids))]

    def rate(self, nbest: NBest, *, best: bool = False) -> float:
        """Word error rate of the first hypotheses, or of the best."""
        errors = 0
        for found, reference in zip(nbest, self.references, strict=True):
            several = found if best else found[:1]
            errors += min((edit_distance(reference.split(), one.text.split()) for one in several), default=len(reference.split()))
        return errors / self.words

    @property
    def words(self) -> int:
        """Words said."""
        return sum(len(reference.split()) for reference in self.references)


def tune_weights(
    model: str | Path,
    corpus: str | Path,
    lm: str | Path,
    out: str | Path,
    *,
    lexicon: str | Path | None = None,
    rescore: str | Path | None = None,
    beam: int | None = None,
    device: str | None = None,
    seed: int = 0,
) -> TunedSearch:
    """Tune a search for a recognizer, and write it as `out`, a file for `--search`; beside it its emissions, and a picture.

    Args:
        model: The recognizer.
        corpus: A manifest with texts, which the recognizer has not learnt from and which nothing is tested on.
        lm: Language model of the search.
        out: NAME.toml, which must be new.
        lexicon: Words with their spellings; None: those of the language model.
        rescore: A second language model.
        beam: Hypotheses kept.
        device: As of PyTorch; None: a GPU if there is one.
        seed: Of the points that are tried, and of the intervals.

    Raises:
        UserError: the corpus is no development set, or something else does not fit.
    """
    path, manifest = _new(Path(out)), Manifest.open(corpus)
    recognizer, place = load_recognizer(model, device), str(find_process(device).device)
    start = published("ngram", nearest_labels(_hours(model, manifest)), "librispeech")
    settings = SearchSettings(str(lm), start.language, start.words, None if lexicon is None else str(lexicon), beam)
    if rescore is not None:
        settings = replace(settings, rescore=str(rescore), rescore_weight=0.0)
    decoder = Decoder(recognizer, settings, place)
    development = _develop(decoder, manifest, place, path.with_suffix(EMISSIONS))
    first = tune_search(lambda weights: development.search(decoder.search(weights)), development.references, start=start, seed=seed)
    nbest = development.search(decoder.search(first.weights))
    second, rate = None, development.rate(nbest)
    if decoder.second:
        scores = Rescored(decoder.search(first.weights), decoder.second, Weights(), decoder.width, place).second(nbest)
        second = tune(nbest, development.references, second=scores, seed=seed)
    tuning = Tuning(of_model(recognizer), (), manifest.name, manifest.digest, second.rate if second else rate)
    file = _written(path, replace(settings, beam=decoder.width), (first, second), tuning)
    outside = decoder.outside(development.references)
    return TunedSearch(
        file,
        first,
        second,
        rate,
        development.rate(development.search(Decoder(recognizer, SearchSettings(), place))),
        development.rate(nbest, best=True),
        None if outside is None else outside.total() / development.words,
        len(development.references),
        development.words,
        development.kept.known,
        tuple(_drawn(path, first, second)),
        tuple(decoder.notes),
    )


def _new(path: Path) -> Path:
    """Return the name of a file to be written, or refuse it."""
    if path.suffix != ".toml" or path.exists():
        msg = f"{path} is to be a new file NAME.toml{', and is there already: choose another name' if path.exists() else ''}"
        raise UserError(msg)
    return path


def _hours(model: str | Path, manifest: Manifest) -> float:
    """Return the hours that a run was trained on; 10, where that is not known.

    Raises:
        UserError: the manifest is what it was trained on, or what is tested on.
    """
    if _TEST.search(manifest.path.stem):
        msg = (
            f"{manifest.path} is a test set by its name, and weights that are tuned on it would make its error rate too low: tune on "
            "recordings that are neither trained nor tested on (dev.jsonl). If it is no test set, give it another name"
        )
        raise UserError(msg)
    data = None if is_foreign(str(model)) else Run(folder_and_step(model)[0]).read_data().get("train")
    if data and data.digest == manifest.digest:
        msg = (
            f"{model} was trained on {manifest.path}, whose texts it knows: there it needs no language model, and the weights would be too "
            "small. Tune on recordings that are neither trained nor tested on"
        )
        raise UserError(msg)
    return data.hours if data else UNKNOWN_HOURS


def _develop(decoder: Decoder, manifest: Manifest, device: str, path: Path) -> _Development:
    """Encode what has a text and a frame, or read it.

    Raises:
        UserError: there is no text.
    """
    recognizer = decoder.recognizer
    kind: Transcript = "phones" if recognizer.units == "phones" and decoder.lexicon is None else "text"
    texts = {item.id: recognizer.normalized(transcript_of(item, kind) or transcript_of(item)) for item in manifest}
    if not any(texts.values()):
        msg = f'{manifest.name} has no texts (the key "text"), which weights are tuned by: import the corpus with its transcripts'
        raise UserError(msg)
    kept = KeptEmissions.find(recognizer, manifest, device, path).only({name for name, text in texts.items() if text})
    if lacking := sum(not text for text in texts.values()):
        decoder.notes.append(f"{lacking:,} of {len(manifest):,} recordings of {manifest.name} have no text, and are left out")
    return _Development(kept, [texts[name] for name in kept.ids], decoder.width, device)


def _written(path: Path, settings: SearchSettings, tuned: tuple[Tuned, Tuned | None], tuning: Tuning) -> SearchFile:
    first, second = tuned
    settings = replace(settings, lm_weight=_rounded(first.weights.language), word_weight=_rounded(first.weights.words))
    if second:
        settings = replace(settings, rescore_weight=_rounded(second.weights.language), rescore_word_weight=_rounded(second.weights.words))
    file = SearchFile(settings, replace(tuning, files=digests(settings)), path)
    make_folder(path.parent)
    file.write(path)
    return file


def _rounded(weight: float) -> float:
    """Keep what a weight is worth."""
    return round(weight, 3)


def _drawn(path: Path, first: Tuned, second: Tuned | None) -> Iterator[Path]:
    """Draw the surfaces, where there is what draws."""
    kinds = [(first, path.with_suffix(PICTURE), ("language model", "each word"))]
    if second:
        kinds.append((second, path.with_name(f"{path.stem}-rescore{PICTURE}"), ("second language model", "each word beside")))
    for tuned, place, names in kinds:
        chosen = (tuned.weights.language, tuned.weights.words)
        try:
            picture = draw_surface(tuned, chosen, names, path.stem)
        except UserError as missing:  # matplotlib, an extra
            progress.say(str(missing))
            return
        write_text(place, picture)
        yield place
