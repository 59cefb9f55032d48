"""Language models of texts: n-grams are estimated, written as a model folder or an ARPA file, read again, and measured by perplexity."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from foresay.building import describe
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.files import make_folder, text_lines
from foresay.loading import ARPA, load_language_model
from foresay.models.generation.ngram import NGram, NGramSettings
from foresay.runs import write_model
from foresay.settings import from_table
from foresay.text.arpa import write_arpa
from foresay.text.normalization import Normalizer, Outside, refuse_other_profile
from foresay.text.perplexity import Perplexity, perplexity
from foresay.text.vocabulary import Unit
from foresay.training.trainer import described

MANIFEST = ".jsonl"
SPAN = 8
"""Words in a row of a test transcript that give a sentence away as taken from it, or from where it came from."""


@dataclass(frozen=True)
class TrainedNGram:
    """What became of texts."""

    place: Path
    sentences: int
    words: int
    vocabulary: int
    ngrams: tuple[int, ...]
    """Of each order."""
    overlapping: tuple[str, ...]
    """Sentences that were left out, for they stand in transcripts to be tested on."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Characters that the normalization left out."""


def train_ngram(
    texts: Sequence[str | Path],
    out: str | Path,
    *,
    order: int = 4,
    unit: Unit = "words",
    prune: Sequence[int] = (),
    normalization: str | None = None,
    outside: Outside = "refuse",
    exclude: Sequence[str | Path] = (),
) -> TrainedNGram:
    """Estimate an n-gram model.

    Args:
        texts: Text files with a sentence a line, or manifests, whose texts are taken.
        out: A new file NAME.arpa or NAME.arpa.gz, or a folder, new or empty, that `foresay.load` reads.
        order: N.
        unit: What is predicted.
        prune: Of each order, how often n-grams came that are left out: 0, 0, 1.
        normalization: A profile of `foresay.text.normalization`, that of the recognizer; None: the texts are taken as they stand.
        outside: What it does with characters that it has not.
        exclude: Manifests to be tested on: sentences that overlap with their transcripts are left out.

    Raises:
        UserError: there is no text, or something in it, or among the arguments, cannot be.
    """
    place = Path(out)
    settings = from_table(NGramSettings, {"order": order, "unit": unit, "prune": list(prune)}, "the model")
    if place.exists() and (str(place).endswith(ARPA) or not place.is_dir() or any(place.iterdir())):
        msg = f"{place} is there already, and nothing of it shall be lost: choose another name, of an ARPA file or of a new or empty folder"
        raise UserError(msg)
    sentences = [sentence for path in texts for sentence in read_sentences(path)]
    dropped: Counter[str] = Counter()
    if normalization is not None:
        normalizer = Normalizer(normalization, outside)
        sentences, dropped = normalizer.every(sentences, "sentence"), normalizer.dropped
    tested = _Tested(sentence for path in exclude for sentence in read_sentences(path))
    overlapping = tuple(sentence for sentence in sentences if tested.overlaps(sentence)) if exclude else ()
    left_out = set(overlapping)
    sentences = [sentence for sentence in sentences if sentence.strip() and sentence not in left_out]
    if overlapping and not sentences:
        msg = f"all {len(overlapping):,} sentences overlap with transcripts to be tested on (--exclude), and none is left: add other text"
        raise UserError(msg)
    model = NGram(settings).eval()
    model.learn(sentences)
    model.settings = replace(settings, normalization=normalization, outside=outside)  # the sentences are normalized already
    grams = model.tables()
    make_folder(place.parent)
    if str(place).endswith(ARPA):
        write_arpa(grams, place)
    else:
        write_model(place, model.state_dict(), described("ngram", 1, describe(model)))
    counts = tuple(map(len, grams.keys))
    words = sum(len(sentence.split()) for sentence in sentences)
    return TrainedNGram(place, len(sentences), words, len(model.symbols), counts, overlapping, dropped)


def measure_perplexity(model: str | Path, text: str | Path, *, normalization: str | None = None, outside: Outside = "refuse") -> Perplexity:
    """Compute the perplexity of a language model on a text file, or on the texts of a manifest; arguments as of `train_ngram`.

    `normalization`: None is the model's own; an ARPA file does not say which that was.

    Raises:
        UserError: the model is none, or of texts that were normalized otherwise, or the text is empty.
    """
    found = load_language_model(model)
    refuse_other_profile(str(model), found.normalization, normalization)
    profile = normalization or found.normalization
    sentences = list(read_sentences(text))
    if profile is not None:
        sentences = Normalizer(profile, outside).every(sentences, "sentence")
    return perplexity(found, [found.split(sentence) for sentence in sentences], sum(len(sentence.split()) for sentence in sentences))


def read_sentences(path: str | Path) -> Iterator[str]:
    """Read a text file, a sentence a line, or the texts of a manifest.

    Raises:
        UserError: there is no such file, or a manifest has no texts.
    """
    if not str(path).endswith(MANIFEST):
        yield from text_lines(Path(path))
        return
    manifest = Manifest.open(path)
    texts = [item.text for item in manifest if item.text]
    if not texts:
        msg = f"{manifest.name} has no texts: none of its {len(manifest):,} items has the key `text`"
        raise UserError(msg)
    yield from texts


class _Tested:
    """Transcripts to be tested on, compared without case and punctuation."""

    def __init__(self, transcripts: Iterable[str]) -> None:
        self._normalizer = Normalizer("plain", "drop")
        self._whole: set[tuple[str, ...]] = set()
        self._spans: set[tuple[str, ...]] = set()
        for transcript in transcripts:
            words = self._words(transcript)
            self._whole.add(words)
            self._spans.update(_spans(words))

    def overlaps(self, sentence: str) -> bool:
        """Whether a sentence is a transcript, or has `SPAN` words in a row with one."""
        words = self._words(sentence)
        return bool(words) and (words in self._whole or any(span in self._spans for span in _spans(words)))

    def _words(self, text: str) -> tuple[str, ...]:
        return tuple(self._normalizer(text).split())


def _spans(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (words[begin : begin + SPAN] for begin in range(len(words) - SPAN + 1))
