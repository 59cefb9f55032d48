"""Words to be found in sentences of other speakers (qbe)."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from foresay.corpora.made.sentences import draw_sentence
from foresay.corpora.made.spoken.clips import Clip, SpokenClip, dealt, several, speakers_of

WORDS: Mapping[str, str] = {
    "valid": "elephant gardener television lemonade butterfly telephone mountain policeman",
    "test": """
        umbrella library chocolate orchestra president dictionary crocodile holiday newspaper strawberry hospital gentleman
        computer potato violin astronaut""",
}
"""Split -> words; longer ones than those around them."""
QUERIES = 2
"""Of each word, by two speakers."""
DOCUMENTS = 60
_FORM = "{{name}} {{did}} the {} and the {}"


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan queries by speakers of their split, and documents by those of train, each with two of the words, which come equally often."""
    for split in ("valid", "test"):
        speakers = dealt(speakers_of(split), rng)
        for word in WORDS[split].split():
            for number in range(several(QUERIES, scale)):
                yield SpokenClip(f"qbe-{split}-{word}-{number}", "qbe", (f"qbe/{split}-queries",), next(speakers), word)
    sought = " ".join(WORDS.values()).split()
    speakers, words = dealt(speakers_of("train"), rng), dealt(sought, rng)
    for number in range(max(several(DOCUMENTS, scale), len(sought))):  # each word comes twice or more
        text = draw_sentence(rng, _FORM.format(next(words), next(words)))  # two of one round, for the words are even in number
        yield SpokenClip(f"qbe-document-{number:03d}", "qbe", ("qbe/documents",), next(speakers), text)


def relevant(queries: Iterable[Clip], documents: Iterable[Clip]) -> list[str]:
    """List which documents have the words of which queries, as lines `QUERY_ID DOCUMENT_ID`."""
    said = [(document.id, f" {document.text.rstrip('.')} ") for document in documents if isinstance(document, SpokenClip)]
    asked = [(query.id, f" {query.text} ") for query in queries if isinstance(query, SpokenClip)]
    return [f"{query} {document}" for query, words in asked for document, text in said if words in text]
