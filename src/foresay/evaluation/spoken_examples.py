"""What a synthesizer makes of a few utterances, kept in the run to be listened to: `artifacts/sounds-1.npz` and so on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foresay.audio.read import Waveform
from foresay.contracts import Synthesizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Analyzed, Resynthesizer, speaker_of
from foresay.errors import UserError
from foresay.evaluation.example import LONGEST, SHORTEST, Arrays, choose_utterances
from foresay.evaluation.synthesis.conditions import CONVERTED, RECORDED, RESYNTHESIZED, SHUFFLED

VOICES = 2
"""Other voices that each utterance is converted into, at most."""


class Playable(NamedTuple):
    """A sound of several that belong together."""

    name: str
    note: str
    """What else is to be said of it, perhaps nothing."""
    waveform: Waveform
    """(S,)."""


def as_arrays(title: str, text: str, sample_rate: int, sounds: Sequence[Playable]) -> Arrays:
    """Write sounds that belong together as arrays.

    `title`, `text`, `sample_rate`, `names (n,)`, `notes (n,)`, and `sound_1 (S,)` to `sound_n (S,)`: int16, limited to full scale.
    """
    return {
        "title": np.array(title),
        "text": np.array(text),
        "sample_rate": np.array(sample_rate),
        "names": np.array([sound.name for sound in sounds]),
        "notes": np.array([sound.note for sound in sounds]),
        **{f"sound_{number}": _int16(sound.waveform) for number, sound in enumerate(sounds, start=1)},
    }


def spoken_examples(synthesizer: Synthesizer, manifest: Manifest, *, seed: int = 0, device: str = "cpu") -> list[Arrays]:
    """Speak a few utterances, of as many speakers as there are, in all ways: arrays as of `as_arrays`.

    They last 2 to 6 s or, where none does, as long as any that is shorter.
    """
    longest_first = np.argsort(-manifest.durations, kind="stable")
    short_enough = longest_first[manifest.durations[longest_first] <= LONGEST]
    fitting = np.sort(short_enough[manifest.durations[short_enough] >= SHORTEST]).tolist() or short_enough.tolist()
    chosen = [fitting[place] for place in choose_utterances(manifest, fitting, lambda item: item.audio is not None)]
    found = []
    for place in chosen:
        item, waveform = manifest[place], manifest.read(place, synthesizer.sample_rate)
        sounds = [
            Playable(RECORDED, item.speaker or "", waveform),
            *_spoken(synthesizer, waveform, speaker_of(manifest, place), seed, device),
        ]
        found.append(as_arrays(item.id, item.text or "", synthesizer.sample_rate, sounds))
    return found


def _spoken(synthesizer: Synthesizer, waveform: Waveform, speaker: str, seed: int, device: str) -> list[Playable]:
    """Speak a recording (S,): in its own voice, if that is known, with other pitch, with its units shuffled, and in other voices."""
    model = Resynthesizer(synthesizer, device)
    others = [name for name in synthesizer.speaker.names if name != speaker][:VOICES]
    voices = {name: synthesizer.speaker.of_names([name]).detach().to(device) for name in others}
    try:
        own = model.analyze(waveform, speaker)
    except UserError:  # a strange voice, of a synthesizer that knows voices by name only
        return [_converted(model, model.analyze(waveform, speaker, voice), name, voice) for name, voice in voices.items()]
    if not own:
        return []
    count = sum(int(piece.units.lengths[0]) for piece in own)
    runs = sum(int(piece.units.merged().lengths[0]) for piece in own)
    changed = {
        RESYNTHESIZED: (f"{count:,} units in {runs:,} runs", own),
        "flat pitch": ("", [piece.flattened() for piece in own]),
        "predicted pitch": ("from the units", [piece.without_pitch() for piece in own]),
        SHUFFLED: ("the control", [piece.shuffled(seed, number) for number, piece in enumerate(own)]),
    }
    spoken = [Playable(name, note, model.speak(pieces)) for name, (note, pieces) in changed.items()]
    return [spoken[0], *(_converted(model, own, name, voice) for name, voice in voices.items()), *spoken[1:]]


def _converted(model: Resynthesizer, pieces: Sequence[Analyzed], name: str, voice: Tensor) -> Playable:
    return Playable(CONVERTED, f"into the voice of {name}", model.speak([piece.in_voice(voice) for piece in pieces]))


def _int16(waveform: Waveform) -> NDArray[np.int16]:
    return np.round(waveform.clip(-1.0, 1.0) * (2**15 - 1)).astype(np.int16)
