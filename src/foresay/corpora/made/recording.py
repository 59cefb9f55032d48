"""A synthetic recording: speech between two pauses, in a small room with some noise, at 16 kHz. Shared by the corpora that are spoken."""

import io
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import soundfile
import soxr

from foresay.audio.read import Waveform
from foresay.audio.room import NOISES, add_noise, draw_noise, reverberate, room_response
from foresay.audio.voice import Speech, Timed, Voice
from foresay.corpora.manifest import Interval

SAMPLE_RATE = 16000

_FRAME = SAMPLE_RATE // 100
_RT60 = 0.1, 0.4  # s
_DIRECT_TO_ECHO = 3.0, 12.0  # dB: near the microphone
_SNR = 15.0, 30.0  # dB
_LEVEL = -30.0, -22.0  # dB of full scale
_PEAK = 0.95


def in_a_mood(voice: Voice, rng: np.random.Generator) -> Voice:
    """Nobody speaks twice alike."""
    return replace(
        voice,
        rate=round(voice.rate * rng.uniform(0.9, 1.1)),
        pitch=voice.pitch + int(rng.integers(-6, 7)),
        melody=voice.melody + int(rng.integers(-15, 16)),
    )


def dry(speech: Speech) -> Waveform:
    """Return the samples of a speech at 16 kHz: (S,)."""
    samples: Waveform = soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE)
    return samples


def between_pauses(samples: Waveform, rng: np.random.Generator) -> tuple[Waveform, float]:
    """Put silence around (S,) samples, up to whole frames of 10 ms; return the seconds of it before the first sound, too."""
    before, after = (int(rng.uniform(0.1, 0.3) * SAMPLE_RATE) for _ in range(2))
    after += -(before + len(samples) + after) % _FRAME
    return np.pad(samples, (before, after)), before / SAMPLE_RATE


def in_a_room(samples: Waveform, rng: np.random.Generator, louder: float = 0.0) -> Waveform:
    """Record (S,) dry samples: with echo, noise and a level of their own, and `louder` dB above that."""
    rt60, direct_to_echo, snr, level = (rng.uniform(*span) for span in (_RT60, _DIRECT_TO_ECHO, _SNR, _LEVEL))
    samples = reverberate(samples, room_response(rt60, direct_to_echo, SAMPLE_RATE, rng))
    samples = add_noise(samples, _noise(len(samples), rng), snr)
    return _at_level(samples, level + louder)


def empty_room(count: int, rng: np.random.Generator) -> Waveform:
    """Record (count,) samples of a room in which nobody speaks, as loud as speech is: its level says nothing."""
    return _at_level(_noise(count, rng), rng.uniform(*_LEVEL))


def shifted(times: Iterable[Timed], seconds: float) -> tuple[Interval, ...]:
    """Move times that much later, to 0.1 ms."""
    return tuple(Interval(round(start + seconds, 4), round(end + seconds, 4), label) for start, end, label in times)


def flac(samples: Waveform) -> bytes:
    """Encode (S,) samples in memory: a full disk is then noticed by Python, which says so."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _noise(count: int, rng: np.random.Generator) -> Waveform:
    return draw_noise(NOISES[rng.integers(len(NOISES))], count, SAMPLE_RATE, rng)


def _at_level(samples: Waveform, level: float) -> Waveform:
    """Scale (S,) samples to a level in dB of full scale, or so that none is clipped."""
    gain = min(10 ** (level / 20) / np.sqrt(np.mean(samples**2)), _PEAK / np.abs(samples).max())
    return samples * np.float32(gain)
