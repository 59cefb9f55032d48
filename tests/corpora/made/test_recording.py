"""A synthetic recording: the room moves nothing, levels are what they are said to be, and an empty room is as loud as a voice."""

import numpy as np
import soxr

from foresay.audio.voice import speak
from foresay.corpora.made.demo import VOICES
from foresay.corpora.made.recording import between_pauses, dry, empty_room, in_a_room


def test_the_room_does_not_move_the_speech() -> None:
    """The speech in the room is most like the dry speech exactly where the phones say that it begins."""
    rng = np.random.default_rng(0)
    speech = speak("Arthur watched the choir sing in the garden.", VOICES["us-leo"])
    clean = soxr.resample(speech.samples, speech.sample_rate, 16000)
    for _ in range(5):
        padded, lead = between_pauses(dry(speech), rng)
        wet = in_a_room(padded, rng)
        assert len(wet) % 160 == 0
        correlation = np.correlate(wet, clean, mode="valid")
        assert np.argmax(correlation) == round(lead * 16000)


def test_levels_are_of_a_range_and_louder_is_louder() -> None:
    tone = np.sin(np.arange(16000) / 10).astype(np.float32)
    levels = [10 * np.log10(np.square(in_a_room(tone, np.random.default_rng(n), louder)).mean()) for louder in (0, 3) for n in range(20)]
    assert -30 <= min(levels[:20]) < -28
    assert -24 < max(levels[:20]) <= -22
    np.testing.assert_allclose(np.subtract(levels[20:], levels[:20]), 3, atol=1e-4)


def test_an_empty_room_is_as_loud_as_a_voice() -> None:
    rooms = [empty_room(8000, np.random.default_rng(n)) for n in range(20)]
    levels = [10 * np.log10(np.square(room).mean()) for room in rooms]
    assert {room.shape for room in rooms} == {(8000,)}
    assert -30.001 <= min(levels) < -28
    assert -24 < max(levels) <= -21.999
