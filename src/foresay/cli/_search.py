"""The options of a search with language models, for the verbs that decode."""

from dataclasses import dataclass
from pathlib import Path

from foresay.encoding.search_files import SearchFile
from foresay.encoding.search_settings import SearchSettings
from foresay.errors import UserError


@dataclass(frozen=True)
class Searching:
    """How text is found in what the recognizer emits; without any of these, by the best path."""

    search: Path | None = None
    """A file of `foresay lm tune`, with all of the following."""
    lm: str | None = None
    """Language model of words or of the recognizer's symbols: NAME.arpa, a model folder, a run."""
    lm_weight: float | None = None
    """What its log p is multiplied by, in nats."""
    word_weight: float | None = None
    """What each word adds, in nats."""
    lexicon: str | None = None
    """Words with their spellings; default: those of the language model, in the recognizer's letters."""
    beam: int | None = None
    """Hypotheses kept; 50, where there is a search."""
    hot_words: str | None = None
    """File with a word or a phrase a line, to be preferred."""
    hot_weight: float | None = None
    """Nats for each of their letters."""
    rescore: str | None = None
    """A second language model, such as a Transformer, which ranks the hypotheses anew."""
    rescore_weight: float | None = None
    """What its log p is multiplied by, in nats."""
    rescore_word_weight: float | None = None
    """What each word adds then, beside --word-weight; default 0."""

    def chosen(self) -> SearchFile:
        """Return the search of the file, or that of the options.

        Raises:
            UserError: it is none, or both are given.
        """
        given = {name: value for name, value in vars(self).items() if name != "search" and value is not None}
        if self.search is None:
            return SearchFile(SearchSettings(**given))
        if given:
            name = next(iter(given)).replace("_", "-")
            msg = f"--search {self.search} says all of the search: leave out --{name}, or write it into a copy of the file"
            raise UserError(msg)
        return SearchFile.read(self.search)
