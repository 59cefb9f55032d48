"""A search as its settings describe it, checked against a recognizer before anything is decoded, and built for it.

recognizer            letters, phones or subwords, and how its texts are normalized
lexicon               words spelled in these symbols: of a file, or the words of the language model in the recognizer's letters
language model        of such words: LexiconBeam; of the recognizer's own symbols: PrefixBeam; without any: the best path
hidden Markov models  StateSearch, over the words of a lexicon, perhaps their own, or over their symbols
second language model ranks the n-best lists anew, whatever its symbols are
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foresay.contracts import (
    EmittingRecognizer,
    Encoded,
    LanguageModel,
    Recognizer,
    SpellingRecognizer,
    StateRecognizer,
    TransducingRecognizer,
)
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.greedy import GreedyStream
from foresay.decoding.hmm_search import SILENCE, StateMoves, StateSearch
from foresay.decoding.hot_words import HotPhrases, HotWords
from foresay.decoding.lexicon_beam import LexiconBeam, Spellings, Unknown
from foresay.decoding.moves import CTCMoves
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.rescoring import NBest
from foresay.decoding.search import Rescored, Search, greedy, over_words, spelled, transduced, transduced_stream, writing
from foresay.decoding.weights import Weights
from foresay.encoding.search_settings import BEAM, TOKENS, SearchSettings
from foresay.encoding.streaming import RecognitionStream
from foresay.errors import UserError
from foresay.files import text_lines
from foresay.loading import load_language_model
from foresay.text.lexicon import Lexicon
from foresay.text.normalization import refuse_other_profile
from foresay.text.vocabulary import BOUNDARY, Vocabulary, is_special

ENOUGH = 0.5
"""Share of words, or symbols, that two vocabularies must have in common."""
LOOKED_AT = 1000
"""Words of a lexicon, spread over it, by which its normalization is known."""
_SHOWN = 3


class Decoder:
    """A search for one recognizer: what it makes of audio -> n-best lists with text.

    Args:
        recognizer: whose emissions, or encoded audio, will be searched.
        settings: of the search.
        device: where the language models compute.

    Raises:
        UserError: a file or model cannot be read, or recognizer, lexicon and language models do not fit each other.
    """

    def __init__(self, recognizer: Recognizer, settings: SearchSettings, device: str = "cpu") -> None:
        self.recognizer, self.settings, self._device = recognizer, settings, device
        self.vocabulary = Vocabulary(tuple(recognizer.symbols), recognizer.units)
        self.notes: list[str] = []
        """What was left out, and what else is worth knowing before one believes the result."""
        self.model = load_language_model(settings.lm, device) if settings.lm else None
        self.second = load_language_model(settings.rescore, device) if settings.rescore else None
        for name, model in ((settings.lm, self.model), (settings.rescore, self.second)):
            if model:
                refuse_other_profile(str(name), model.normalization, recognizer.normalization)
        self.width = settings.beam or (TOKENS if isinstance(recognizer, StateRecognizer) else BEAM)
        """Hypotheses kept."""
        if not isinstance(recognizer, EmittingRecognizer | StateRecognizer):
            self._refuse_words(type(recognizer).__name__)
        self._hot = self._hot_phrases()
        self.lexicon = self._find_lexicon()
        if self.second:
            self._check_second(self.second)
        if settings.unknown_weight is not None:
            self._refuse_unknown()
        self._search = self.search(settings.weights, settings.second_weights)

    def __call__(self, encoded: Encoded, best: int = 1) -> NBest:
        """Find at most `best` hypotheses of each utterance, the best first.

        Raises:
            UserError: the emissions are none of this recognizer, or no numbers.
        """
        return self._search(Encoded(encoded.frames.to(self._device), encoded.lengths), best)

    def search(self, weights: Weights, second: Weights | None = None) -> Search:
        """Build the search with other weights; `second` are those of the second language model, which is left out without them."""
        settings, recognizer = self.settings, self.recognizer
        if isinstance(recognizer, TransducingRecognizer | SpellingRecognizer):
            first = self._own(recognizer, weights)
        elif isinstance(recognizer, StateRecognizer):
            first = self._through_states(recognizer, weights)
        elif settings.is_greedy:
            return greedy(recognizer.text_of)
        else:
            first = self._over_symbols(weights) if self.lexicon is None else self._over_words(self.lexicon, weights)
        return first if self.second is None or second is None else Rescored(first, self.second, second, self.width, self._device)

    def stream(self) -> RecognitionStream:
        """Begin to recognize an utterance as it arrives; in the end its text is that which the search finds in the whole.

        Raises:
            UserError: the recognizer or the search needs the whole.
        """
        recognizer, settings = self.recognizer, self.settings
        if not isinstance(recognizer, EmittingRecognizer | TransducingRecognizer):
            raise UserError(_needs_the_whole(f"{type(recognizer).__name__}, whose search is its own,"))
        if self.second:
            raise UserError(_needs_the_whole("a second language model"))
        if self.lexicon is not None:
            raise UserError(_needs_the_whole("a search over the words of a lexicon"))
        if isinstance(recognizer, TransducingRecognizer):
            return RecognitionStream(recognizer, transduced_stream(recognizer, self._own_width, self._fusion(settings.weights)))
        text_of = recognizer.text_of
        return RecognitionStream(
            recognizer, GreedyStream(text_of) if settings.is_greedy else PrefixStream(self._prefixes(settings.weights), text_of)
        )

    def outside(self, references: Iterable[str]) -> Counter[str] | None:
        """Count the words of texts that the search can never write; None: it can write any."""
        if self.lexicon is None or self.settings.unknown_weight is not None:
            return None
        return self.lexicon.missing(word for text in references for word in text.split())

    @property
    def words(self) -> tuple[str, ...]:
        """All that it can write; none, where it can write any."""
        return () if self.lexicon is None else self.lexicon.words

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the search with each number that it finds; of files, their names."""
        said = {key: value for key, value in asdict(self.settings).items() if value is not None}
        names = {key: Path(said[key]).name for key in ("lm", "lexicon", "hot_words", "rescore") if key in said}
        words = {} if self.lexicon is None else {"words": len(self.lexicon)}
        return said | names | ({} if self.settings.is_greedy else {"beam": self.width}) | words

    def _own(self, recognizer: TransducingRecognizer | SpellingRecognizer, weights: Weights) -> Search:
        beam, fusion = self._own_width, self._fusion(weights)
        return spelled(recognizer, beam, fusion) if isinstance(recognizer, SpellingRecognizer) else transduced(recognizer, beam, fusion)

    @property
    def _own_width(self) -> int:
        """Hypotheses kept by a recognizer that searches itself; 1: none but the likeliest."""
        return 1 if self.settings.is_greedy else self.width

    def _fusion(self, weights: Weights) -> ShallowFusion | None:
        """What language model and words add to such a search; None, where there is neither."""
        if not self.model and not weights.words:
            return None
        return ShallowFusion(self.vocabulary.symbols, self.model, weights, self.recognizer.boundary, {0, *self._forbidden})

    @property
    def _forbidden(self) -> list[int]:
        """Symbols that are no part of any text, but the blank."""
        return [number for number, symbol in enumerate(self.vocabulary.symbols) if number and is_special(symbol)]

    def _refuse_words(self, name: str) -> None:
        """Refuse what takes a search of ours, where the recognizer searches itself."""
        words = self.model is not None and not self._is_of_symbols(self.model)
        given = {"a lexicon": self.settings.lexicon, "hot words": self.settings.hot_words, "a language model of words": words}
        if wrong := [what for what, one in given.items() if one]:
            msg = (
                f"{name} writes symbol by symbol, in a search that takes no {wrong[0].removeprefix('a ')}: give a language "
                f"model of its {self.vocabulary.kind} (--lm), rank its hypotheses anew by one of words (--rescore), or use a recognizer "
                "with emissions (ctc)"
            )
            raise UserError(msg)

    def _refuse_unknown(self) -> None:
        """Refuse words that the lexicon lacks, where nothing says where they begin and end, or how they are spelled."""
        if self.lexicon is None or self.recognizer.boundary is None or not isinstance(self.recognizer, EmittingRecognizer):
            msg = (
                "words that the lexicon lacks (--unknown-weight) are what a recognizer of letters with emissions (ctc) writes between "
                "boundaries, in a search over words (--lexicon, or --lm of words): leave it out"
            )
            raise UserError(msg)

    def _over_symbols(self, weights: Weights) -> Search:
        return writing(self._prefixes(weights), self.recognizer.text_of)

    def _prefixes(self, weights: Weights) -> PrefixBeam:
        boundary, symbols = self.recognizer.boundary, self.vocabulary.symbols
        hot = None
        if self._hot:
            phrases = [self.vocabulary.encode(phrase) for phrase in self._hot]
            hot = HotWords(phrases, self.settings.hot_weight or 0.0, len(symbols), boundary)
        return PrefixBeam(
            symbols,
            beam=self.width,
            weights=weights,
            language_model=self.model,
            hot_words=hot,
            boundary=boundary,
            forbidden=self._forbidden,
        )

    def _over_words(self, lexicon: Lexicon, weights: Weights) -> Search:
        spellings, unknown = lexicon.encode(self.vocabulary), self.settings.unknown_weight
        beam = LexiconBeam(
            spellings,
            CTCMoves(len(self.vocabulary)),
            boundary=self.recognizer.boundary,
            beam=self.width,
            weights=weights,
            language_model=self.model,
            hot_words=self._boosted(spellings),
            unknown=None if unknown is None else Unknown(unknown, self.recognizer.text_of),
        )
        return over_words(beam)

    def _through_states(self, recognizer: StateRecognizer, weights: Weights) -> Search:
        """Search the lexicon; without one, a loop over the symbols, each a word of its own."""
        if self.lexicon is None:
            left_out = {SILENCE, recognizer.boundary, *self._forbidden}
            spellings: Spellings = {symbol: ((n,),) for n, symbol in enumerate(self.vocabulary.symbols) if n not in left_out}
        else:
            spellings = self.lexicon.encode(self.vocabulary)
        return StateSearch(
            spellings,
            StateMoves(recognizer.topology),
            scale=recognizer.scale,
            beam=self.width,
            weights=weights,
            language_model=self.model,
            hot_words=self._boosted(spellings),
            text_of=recognizer.text_of if self.lexicon is None else None,
        )

    def _boosted(self, spellings: Spellings) -> HotPhrases | None:
        sizes = {word: len(several[0]) for word, several in spellings.items()}
        return HotPhrases(self._hot, self.settings.hot_weight or 0.0, sizes) if self._hot else None

    def _hot_phrases(self) -> list[str]:
        """Read the hot words, normalized as the recognizer's texts are."""
        if self.settings.hot_words is None:
            return []
        lines = [line for line in text_lines(Path(self.settings.hot_words)) if line.strip()]
        phrases = list(dict.fromkeys(self.recognizer.normalized(line) for line in lines))
        if not all(phrases) or not phrases:
            msg = (
                f"{self.settings.hot_words} holds {'a line without letters' if phrases else 'no words'}: a word or a phrase stands in each"
            )
            raise UserError(msg)
        return phrases

    def _find_lexicon(self) -> Lexicon | None:
        """Read the lexicon, take the recognizer's own, or spell the words of the language model; None, where the search is over symbols."""
        path, model, recognizer = self.settings.lexicon, self.model, self.recognizer
        words = model if model and not self._is_of_symbols(model) else None
        pronounced = not model or (words is not None and recognizer.units == "phones")  # letters spell the words of a language model
        own = recognizer.pronunciations if isinstance(recognizer, StateRecognizer) and pronounced else None
        if path or own:
            lexicon = self._read(path) if path else Lexicon(own or {})
        elif words:
            lexicon = self._spelled(words, self.settings.lm)
        else:
            return None
        if added := [word for phrase in self._hot for word in phrase.split() if word not in lexicon.spellings]:
            if self.vocabulary.kind == "phones":
                msg = f"the hot word {added[0]!r} is not in the lexicon, and a recognizer of phones cannot spell it: add it there"
                raise UserError(msg)
            lexicon = lexicon.with_words(Lexicon.spelled(added, self.vocabulary))
        if (path or own) and model:
            self._note(lexicon.words, set(model.symbols), "of the lexicon are unknown to the language model")
        return lexicon

    def _read(self, path: str) -> Lexicon:
        """Read a lexicon. A boundary at the end of spellings, as fairseq writes it, is taken off: the search adds it."""
        lexicon = Lexicon.read(path)
        if self.recognizer.boundary is not None:
            lexicon = Lexicon({word: tuple(map(_without_boundary, several)) for word, several in lexicon.spellings.items()})
        words = lexicon.words[:: max(1, len(lexicon) // LOOKED_AT)]
        others = [word for word in words if _normalized(self.recognizer, word) != word]
        if len(others) > ENOUGH * len(words):
            msg = (
                f"most words of the lexicon {path} are not written as the recognizer's texts are, such as {others[0]!r}: these are "
                f"normalized, {_normalized(self.recognizer, others[0])!r}. Write its words so, or no word will be found right"
            )
            raise UserError(msg)
        return lexicon

    def _spelled(self, model: LanguageModel, name: str | None) -> Lexicon:
        """Spell the words of a language model in the recognizer's letters; those that have others are left out."""
        if self.vocabulary.kind == "phones":
            msg = (
                f"{name} is a language model of words, and the recognizer writes phones: say how the words are pronounced (--lexicon FILE, "
                "such as the CMU dictionary), or train a model of phones"
            )
            raise UserError(msg)
        words = [word for word in model.symbols if not is_special(word)]
        return Lexicon.spelled(self._spellable(words, f"the language model {name}"), self.vocabulary)

    def _spellable(self, words: Sequence[str], whose: str) -> list[str]:
        fit = [word for word in words if not self.vocabulary.missing(word)]
        if not fit or len(fit) < ENOUGH * len(words):
            other = next((word for word in words if self.vocabulary.missing(word)), "")
            so = _normalized(self.recognizer, other)
            how = f"; normalized as the recognizer's texts it would be {so!r}" if so and so != other else ""
            msg = (
                f"the recognizer's {self.vocabulary.kind} spell {len(fit):,} of {len(words):,} words of {whose}, and not such as {other!r}"
                f"{how}. Usual causes: capital against small letters, or another language. Train the model on text that is normalized as "
                "the recognizer's is (foresay lm train --normalization …)"
            )
            raise UserError(msg)
        self._note(words, set(fit), f"of {whose} are left out, for the recognizer lacks their letters")
        return fit

    def _check_second(self, second: LanguageModel) -> None:
        """Refuse a second language model to which most of what may come out is unknown."""
        name, known = f"the language model {self.settings.rescore}", set(second.symbols)
        if self.lexicon is None:
            if not self._is_of_symbols(second):
                self._spellable([word for word in second.symbols if not is_special(word)], name)
            return
        words = self.lexicon.words[:: max(1, len(self.lexicon) // LOOKED_AT)]
        unknown = [word for word in words if not _knows(second, known, word)]
        if len(unknown) > ENOUGH * len(words):
            msg = (
                f"{name} knows less than half of the words that the search may write, and not such as {unknown[0]!r}; it has "
                f"{', '.join(map(repr, second.symbols[:5]))}, … Usual causes: capital against small letters, or a model of other text"
            )
            raise UserError(msg)

    def _is_of_symbols(self, model: LanguageModel) -> bool:
        """Whether a language model is of the recognizer's own symbols."""
        own = [symbol for symbol in self.vocabulary.symbols if not is_special(symbol)]
        return len(set(own) & set(model.symbols)) > ENOUGH * len(own)

    def _note(self, words: Sequence[str], known: set[str], what: str) -> None:
        lacking = [word for word in words if word not in known]
        if lacking:
            shown = ", ".join(lacking[:_SHOWN]) + (", …" if len(lacking) > _SHOWN else "")
            self.notes.append(f"{len(lacking):,} of {len(words):,} words {what}: {shown}")


def _needs_the_whole(what: str) -> str:
    return (
        f"{what} needs the whole utterance, and no text would be certain before its end. While audio goes in, a recognizer with emissions "
        "(ctc) and a transducer (rnnt) take the best path or --beam, perhaps with a language model of their own symbols"
    )


def _without_boundary(spelling: tuple[str, ...]) -> tuple[str, ...]:
    return spelling[:-1] if spelling[-1] == BOUNDARY and len(spelling) > 1 else spelling


def _normalized(recognizer: Recognizer, word: str) -> str:
    """Normalize a word; nothing, where it holds what the recognizer's profile refuses."""
    try:
        return recognizer.normalized(word)
    except UserError:
        return ""


def _knows(model: LanguageModel, known: set[str], word: str) -> bool:
    try:
        return all(symbol in known for symbol in model.split(word))
    except UserError:  # its own normalization refuses the word
        return False
