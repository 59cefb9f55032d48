"""Where a known text is in an utterance, as each kind of recognizer has it: shares of every frame (soft), and one best path (hard).

    recognizer            rows                             shares of a frame                            path
    emits (CTC)           blank, s1, blank, …, sU, blank   posterior of each state, over all paths      Viterbi's
    transduces (RNN-T)    0, 1, …, U symbols written       posterior of each node of the lattice        likeliest alignment
    spells (attention)    s1, …, sU                        what each symbol attends to of the frame     best that never goes back
    has states (HMM)      all states of all pronunciations posterior of each, over all paths            Viterbi's

A recognizer needs nothing for it that a search of its kind does not need too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts import (
    SILENCES,
    Emissions,
    EmittingRecognizer,
    Encoded,
    Recognizer,
    SpellingRecognizer,
    StateRecognizer,
    TransducingRecognizer,
)
from foresay.corpora.item import Interval, Item, transcript_of
from foresay.decoding.alignment import Span, align, posteriors, spans
from foresay.decoding.attention_beam import rising_path
from foresay.decoding.state_alignment import SILENCE, StateChain, align_states, state_posteriors
from foresay.encoding.word_times import Word, in_time, words_at
from foresay.errors import UserError
from foresay.objectives.transducer import arc_posteriors
from foresay.objectives.transducer_alignment import best_alignment


class TextAlignment(NamedTuple):
    """Where a text is in T frames, by N rows that it passes from the first to the last."""

    rows: tuple[str, ...]
    """N: the symbol that each stands for, or begins; nothing, where it is a blank, silence, or a later state of a symbol."""
    shares: Tensor
    """(T, N), 0 to 1."""
    meaning: str
    """What they are."""
    path: Tensor
    """(T,) int64: the row that each frame belongs to; it never falls."""
    words: tuple[Word, ...]


class _Found(NamedTuple):
    rows: Sequence[int]
    """Their symbols, 0 for a blank."""
    shares: Tensor
    meaning: str
    path: Tensor
    symbols: Sequence[Span]
    """Of the text, boundaries too."""


def known_transcript(recognizer: Recognizer, item: Item) -> str:
    """Return what is said in an item, in what a recognizer aligns: phones, where it writes them and has no lexicon of words; or ""."""
    return transcript_of(item, "phones" if _aligns_phones(recognizer) else "text") or transcript_of(item)


def known_times(recognizer: Recognizer, item: Item) -> tuple[Interval, ...]:
    """Return the true times of the words of an item, or of its phones; none, where they are not known. Silences have none in HMMs."""
    if not _aligns_phones(recognizer):
        return item.words or ()
    return tuple(one for one in item.phones or () if not isinstance(recognizer, StateRecognizer) or one.label not in SILENCES)


def _aligns_phones(recognizer: Recognizer) -> bool:
    return recognizer.units == "phones" and not (isinstance(recognizer, StateRecognizer) and recognizer.pronunciations)


@torch.no_grad()
def text_alignment(recognizer: Recognizer, encoded: Encoded, text: str, duration: float) -> TextAlignment:
    """Find a text in what a recognizer makes of one utterance of `duration` seconds, its layer (1, T, D).

    Raises:
        UserError: the text is empty, or has symbols that the vocabulary lacks, or needs more frames than there are.
    """
    if not recognizer.normalized(text).split():
        msg = "there is no text to find in the audio: it is empty, or nothing is left of it once it is normalized"
        raise UserError(msg)
    encoded = Encoded(encoded.frames[:, : int(encoded.lengths[0])], encoded.lengths)
    if isinstance(recognizer, StateRecognizer):
        return _passed(recognizer, encoded, recognizer.normalized(text).split(), duration)
    tokens = recognizer.spell(text)
    if isinstance(recognizer, EmittingRecognizer):
        found = _emitted(Emissions(*encoded), tokens)
    elif isinstance(recognizer, TransducingRecognizer):
        found = _transduced(recognizer, encoded, tokens)
    elif isinstance(recognizer, SpellingRecognizer):
        found = _spelled(recognizer, encoded, tokens)
    else:
        msg = f"{type(recognizer).__name__} has no alignment of a known text"
        raise UserError(msg)
    rows = tuple(recognizer.symbols[number] if number else "" for number in found.rows)
    return TextAlignment(rows, found.shares.float().cpu(), found.meaning, found.path.cpu(), words_at(recognizer, found.symbols, duration))


def _emitted(emissions: Emissions, tokens: Sequence[int]) -> _Found:
    found = align(emissions, [tokens])
    places = found.places[0]
    written = (places + 1).cummax(0).values  # symbols begun so far
    rows = [0, *(number for token in tokens for number in (token, 0))]
    (symbols,) = spans(found, emissions, [tokens])
    path = torch.where(places < 0, 2 * written, 2 * places + 1)
    return _Found(
        rows, posteriors(emissions, [tokens])[0], "posterior of each symbol, and of each blank between two, over all paths", path, symbols
    )


def _transduced(recognizer: TransducingRecognizer, encoded: Encoded, tokens: Sequence[int]) -> _Found:
    frames, joint = encoded.frames[0], recognizer.joint
    prefixes = [joint.start(1)]
    for token in tokens:
        prefixes.append(joint.advance(prefixes[-1], torch.tensor([token], device=frames.device)))
    count, nodes = len(frames), len(prefixes)
    scores = joint.scores(frames.repeat_interleave(nodes, 0), torch.cat(prefixes).repeat(count, 1)).view(1, count, nodes, -1)
    lattice = scores, torch.tensor([tokens], device=frames.device), torch.tensor([count]), torch.tensor([len(tokens)])
    arcs, written = arc_posteriors(*lattice), best_alignment(*lattice)[0]
    chosen = scores[0, written, torch.arange(len(tokens)), lattice[1][0]].exp()
    symbols = _moments(tokens, written.tolist(), chosen)
    path = torch.searchsorted(written, torch.arange(count, device=frames.device), right=True)
    return _Found([0, *tokens], (arcs.blank + arcs.label)[0], "posterior of each node: so many symbols are written", path, symbols)


def _spelled(recognizer: SpellingRecognizer, encoded: Encoded, tokens: Sequence[int]) -> _Found:
    speller = recognizer.speller(encoded)
    state, attention, chosen = speller.begin(1), [], []
    for before, token in zip((0, *tokens), tokens, strict=False):  # 0 stands before the first; the end of the text is no symbol
        scores, attended, state = speller.step(state, torch.tensor([[before]], device=encoded.frames.device))
        attention.append(attended[0, 0])
        chosen.append(scores[0, 0, token].exp())
    shares = torch.stack(attention)  # (U, T)
    moments = rising_path(shares)
    times = torch.arange(shares.shape[1], device=shares.device)
    path = torch.searchsorted(torch.tensor(moments, device=shares.device), times, right=True) - 1
    return _Found(
        tokens, shares.T, "attention of each symbol to the frames", path.clamp(min=0), _moments(tokens, moments, torch.stack(chosen))
    )


def _passed(recognizer: StateRecognizer, encoded: Encoded, words: Sequence[str], duration: float) -> TextAlignment:
    topology, scaled = recognizer.topology, Encoded(recognizer.scale * encoded.frames, encoded.lengths)
    chain = StateChain.of([recognizer.pronounce(word) for word in words], topology)
    path, shares = align_states(scaled, [chain], topology).positions[0].cpu(), state_posteriors(scaled, [chain], topology)[0].cpu()
    said, sure = torch.tensor([step.word for step in chain.steps])[path], shares.gather(1, path[:, None])[:, 0]
    times = []
    for number, word in enumerate(words):
        frames = (said == number).nonzero()[:, 0]
        times.append((word, Span((), int(frames[0]), int(frames[-1]) + 1, float(sure[frames].mean()))))
    before = (None, *(step.place for step in chain.steps))
    begins = [step.symbol != SILENCE and step.place != place for step, place in zip(chain.steps, before, strict=False)]
    rows = tuple(recognizer.symbols[step.symbol] if first else "" for step, first in zip(chain.steps, begins, strict=True))
    return TextAlignment(rows, shares, "posterior of each state, over all paths", path, in_time(recognizer, times, duration))


def _moments(tokens: Sequence[int], frames: Sequence[int], probabilities: Tensor) -> list[Span]:
    """Give each symbol the one frame that it belongs to."""
    found = zip(tokens, frames, probabilities.tolist(), strict=True)
    return [Span((token,), frame, frame + 1, probability) for token, frame, probability in found]
