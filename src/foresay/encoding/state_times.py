"""When the words of a text, and their symbols, are spoken: forced alignment by hidden Markov models, in seconds of the recording."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch

from foresay.contracts import Encoded, StateRecognizer
from foresay.decoding.alignment import Span
from foresay.decoding.state_alignment import StateChain, Step, align_states
from foresay.decoding.state_loop import free_path
from foresay.encoding.word_times import AlignedText, in_time

Pronounced: TypeAlias = Sequence[Sequence[Sequence[int]]]
"""Of words the ways to say each, in symbols."""


@torch.no_grad()
def align_pronounced(
    recognizer: StateRecognizer, likelihoods: Encoded, words: Sequence[str], pronounced: Pronounced, duration: float
) -> AlignedText:
    """Align words with likelihoods (1, T, S) of a recording of `duration` seconds; its doubt is beside the likeliest symbols there are.

    Raises:
        UserError: the text needs more frames than there are.
    """
    scaled = Encoded(recognizer.scale * likelihoods.frames, likelihoods.lengths)
    chain = StateChain.of(pronounced, recognizer.topology)
    best = align_states(scaled, [chain], recognizer.topology)
    steps = [chain.steps[position] for position in best.positions[0].tolist()]
    states = torch.tensor([step.state for step in steps], device=scaled.frames.device)
    sure = scaled.frames[0].softmax(-1).gather(1, states[:, None])[:, 0].tolist()
    said = [(words[step.word], span) for step, span in _runs(steps, sure, lambda step: step.word)]
    symbols = [(recognizer.symbols[step.symbol], span) for step, span in _runs(steps, sure, lambda step: step.place)]
    doubt = float(free_path(scaled, recognizer.topology).score - best.score) / len(symbols)
    return AlignedText(in_time(recognizer, said, duration), in_time(recognizer, symbols, duration), doubt)


def _runs(steps: Sequence[Step], sure: Sequence[float], key: Callable[[Step], int]) -> Iterator[tuple[Step, Span]]:
    """Yield what frames next to each other have in common, but for silence."""
    for _, run in itertools.groupby(range(len(steps)), key=lambda frame: key(steps[frame])):
        frames = list(run)
        if (step := steps[frames[0]]).word >= 0:
            yield step, Span((step.symbol,), frames[0], frames[-1] + 1, sum(sure[frame] for frame in frames) / len(frames))
