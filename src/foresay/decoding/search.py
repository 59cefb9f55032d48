"""What every search is to those who use it: from encoded audio to n-best lists, whatever it does inside; and one that ranks lists anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from foresay.contracts.language_models import Fusion, LanguageModel
from foresay.contracts.recognition import Emissions, Encoded, SearchStream
from foresay.contracts.spelling import SpellingRecognizer
from foresay.contracts.transduction import TransducingRecognizer
from foresay.decoding.attention_beam import AttentionBeam
from foresay.decoding.greedy import best_path
from foresay.decoding.lexicon_beam import LexiconBeam
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.rescoring import NBest, Scores, language_scores, rescore
from foresay.decoding.transducer_frame_beam import TransducerFrameBeam
from foresay.decoding.transducer_search import TransducerBeam, TransducerStream, greedy_search
from foresay.decoding.weights import Weights

Search: TypeAlias = Callable[[Encoded, int], NBest]
"""What a recognizer makes of audio (B, T, D), such as emissions, and how many hypotheses at most -> B lists, the best first."""
TextOf: TypeAlias = Callable[[Sequence[int]], str]


def greedy(text_of: TextOf) -> Search:
    """Find the best path alone: `text_of` writes symbols as text."""
    return lambda encoded, _: [[found] for found in best_path(Emissions(*encoded), text_of)]


def writing(search: PrefixBeam, text_of: TextOf) -> Search:
    """Let a search over symbols write its hypotheses as text."""
    return lambda encoded, best: search(Emissions(*encoded), text_of, best)


def over_words(search: LexiconBeam) -> Search:
    """Search over words."""
    return lambda encoded, best: search(Emissions(*encoded), best)


def transduced(recognizer: TransducingRecognizer, beam: int, fusion: Fusion | None) -> Search:
    """Let a transducer write: greedily with a beam of 1 and no language model."""
    joint, text_of, most = recognizer.joint, recognizer.text_of, recognizer.symbols_a_frame
    if beam == 1 and fusion is None:
        return lambda encoded, _: [[one] for one in greedy_search(encoded, joint, text_of, symbols_a_frame=most)]
    search = TransducerBeam(joint, beam=beam, fusion=fusion, symbols_a_frame=most)
    return lambda encoded, best: search(encoded, text_of, best)


def transduced_stream(recognizer: TransducingRecognizer, beam: int, fusion: Fusion | None) -> SearchStream:
    """Let a transducer write while its frames arrive: greedily with a beam of 1 and no language model, else time-synchronously."""
    joint, text_of, most = recognizer.joint, recognizer.text_of, recognizer.symbols_a_frame
    if beam == 1 and fusion is None:
        return TransducerStream(joint, text_of, symbols_a_frame=most)
    return PrefixStream(TransducerFrameBeam(joint, beam=beam, fusion=fusion), text_of)


def spelled(recognizer: SpellingRecognizer, beam: int, fusion: Fusion | None) -> Search:
    """Spell symbol by symbol, jointly with CTC where the recognizer has it."""
    search = AttentionBeam(beam, recognizer.weights, fusion=fusion)

    def searched(encoded: Encoded, best: int) -> NBest:
        with torch.no_grad():
            return search(recognizer.speller(encoded), encoded.lengths, recognizer.ctc(encoded), recognizer.text_of, best)

    return searched


@dataclass(frozen=True)
class Rescored:
    """A search whose n-best lists a second language model ranks anew (`rescoring`)."""

    search: Search
    model: LanguageModel
    weights: Weights
    """Of the model, and what each word adds beside what it adds in the search."""
    width: int
    """Hypotheses of each utterance that are scored."""
    device: str = "cpu"

    def __call__(self, encoded: Encoded, best: int) -> NBest:
        """Search, score, rank anew."""
        found = self.search(encoded, self.width)
        return [ranked[:best] for ranked in rescore(found, self.second(found), self.weights)]

    def second(self, nbest: NBest) -> Scores:
        """Score n-best lists by the second model: log p of each hypothesis, split as the model splits a text."""
        return language_scores(nbest, self.model, lambda hypothesis: self.model.split(hypothesis.text), self.device)
