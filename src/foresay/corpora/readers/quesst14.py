"""QUESST 2014: query by example, as SUPERB has it: spoken queries and the English recordings in which they are to be found.

    Audio/quesst14_00001.wav                                    the documents, one collection for validation and testing
    dev_queries/quesst14_dev_0001.wav, eval_queries/…           the queries
    scoring/language_key_utterances.lst, …_dev.lst, …_eval.lst  quesst14Database/Audio/quesst14_00001.wav nnenglish
    scoring/groundtruth_quesst14_dev/quesst14_dev.rttm          LEXEME DOCUMENT … QUERY …

X. Anguera et al., "QUESST2014: evaluating query-by-example speech search in a zero-resource setting with real-life queries", ICASSP 2015.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.reader import FoundItem, ItemPairs, Reader, Skipped, listed
from foresay.errors import UserError

ENGLISH = "nnenglish"
"""Of speakers of other languages; what the lists call it."""
DOCUMENTS = "utterances"
PARTS = {"documents": DOCUMENTS, "valid-queries": "dev", "test-queries": "eval"}
"""Split -> as the database calls it."""


@dataclass(frozen=True)
class Quesst14(Reader):
    """Reads QUESST 2014."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find the English documents and queries."""
        for part in list(PARTS.values())[1:]:
            _relevant(source, part)  # what is wrong with it is said before anything is written
        for split, part in PARTS.items():
            for name, (path, language) in _files(source, part).items():
                if language == ENGLISH:
                    yield FoundItem(Item(name, source / path, language="en"), (split,))

    def beside(self, source: Path, manifests: Mapping[str, Manifest]) -> Iterator[ItemPairs]:  # noqa: ARG002 - lists are official
        """Yield which documents hold a query, of those that are listed as English."""
        yield ItemPairs("valid-relevant.txt", ("valid-queries", "documents"), _relevant(source, "dev"))
        yield ItemPairs("test-relevant.txt", ("test-queries", "documents"), _relevant(source, "eval"))


def _relevant(source: Path, part: str) -> list[tuple[str, str]]:
    """Read English queries, each with an English document that it occurs in.

    Raises:
        UserError: a list is missing, or there is no document of a name.
    """
    documents = _files(source, DOCUMENTS)
    english = {name for name, (_, language) in (_files(source, part) | documents).items() if language == ENGLISH}
    path = f"scoring/groundtruth_quesst14_{part}/quesst14_{part}.rttm"
    found = set()
    for line in listed(source, path):
        kind, document, *rest = (*line.split(), "", "")
        query = next((word for word in rest if word.startswith(f"quesst14_{part}_")), None)
        if kind == "LEXEME" and query:
            found.add((query, document))
    if unknown := sorted({document for _, document in found} - documents.keys()):
        msg = f"{source / path} names {unknown[0]}, which is no document of language_key_{DOCUMENTS}.lst: is it of another database?"
        raise UserError(msg)
    return sorted(row for row in found if english.issuperset(row))


def _files(source: Path, part: str) -> dict[str, tuple[Path, str]]:
    """Read a list: name -> path below the database, and language.

    Raises:
        UserError: it is missing, a line is none, or none is English.
    """
    name = f"language_key_{part}.lst"
    found = {}
    for line in listed(source, f"scoring/{name}", name):
        place, language, *_ = (*line.split(), "")
        path = Path(place.partition("/")[2])
        if not path.suffix:
            msg = f"{name} in {source} holds {line!r}, not `quesst14Database/FOLDER/FILE.wav LANGUAGE`"
            raise UserError(msg)
        found[path.stem] = path, language
    if all(language != ENGLISH for _, language in found.values()):
        msg = f"{name} in {source} lists no {ENGLISH}, only {', '.join(sorted({language for _, language in found.values()}))}: is it whole?"
        raise UserError(msg)
    return found
