"""The voice: what it says, that it always says it alike, and that its times are those of the sound."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from foresay.audio import espeak
from foresay.audio.voice import LABELS, SILENCE, SONORANTS, STOPS, VOWELS, Voice, phone_edges, speak, strongest_change
from foresay.errors import UserError

AMERICAN = Voice("en-US", "m3")
BRITISH = Voice("en", "f1", rate=170, pitch=60, melody=40)
SENTENCES = (
    "My old chair stood in the garden, and all boys tell him.",
    "The young lawyer moved a loud bell, then nine mules ran quietly past us.",
    "Usually she heard seven thin voices measure the pure water near this village.",
)


def synthesize(text: str, voice: Voice) -> tuple[np.ndarray, list[espeak.Mark]]:
    spoken, marks = espeak.synthesize(
        text, accent=voice.accent, timbre=voice.timbre, rate=voice.rate, pitch=voice.pitch, melody=voice.melody
    )
    return (spoken / 32768).astype(np.float32), marks


def test_says_the_phones_and_words() -> None:
    speech = speak("My old chair, in the yard.", AMERICAN)
    phones = [phone.label for phone in speech.phones]
    assert phones == ["m", "ay", "ow", "l", "d", "ch", "ea", "sil", "ih", "n", "dh", "ax", "y", "aar", "d"]
    assert [word.label for word in speech.words] == ["my", "old", "chair", "in the", "yard"]


def test_accents_differ_as_they_should() -> None:
    assert [phone.label for phone in speak("Hot car.", AMERICAN).phones] == ["hh", "aa", "t", "k", "aar"]
    assert [phone.label for phone in speak("Hot car.", BRITISH).phones] == ["hh", "oh", "t", "k", "aa"]


@pytest.mark.parametrize("voice", [AMERICAN, BRITISH])
@pytest.mark.parametrize("text", SENTENCES)
def test_phones_tile_the_speech_and_words_are_made_of_them(text: str, voice: Voice) -> None:
    speech = speak(text, voice)
    duration = len(speech.samples) / speech.sample_rate
    assert speech.phones[0].start == 0
    assert speech.phones[-1].end == pytest.approx(duration, abs=1e-9)
    assert all(before.end == after.start for before, after in itertools.pairwise(speech.phones))
    assert all(phone.end - phone.start >= 0.01 for phone in speech.phones)
    for phone in speech.phones:
        within = [word for word in speech.words if word.start <= phone.start and phone.end <= word.end]
        assert len(within) == (phone.label != SILENCE)
    assert " ".join(word.label for word in speech.words) == text.lower().replace(",", "").rstrip(".")


def test_is_a_pure_function_in_any_thread() -> None:
    expected = speak(SENTENCES[1], BRITISH)
    speak(SENTENCES[0], AMERICAN)
    with ThreadPoolExecutor(4) as pool:
        for speech in pool.map(lambda _: speak(SENTENCES[1], BRITISH), range(8)):
            assert np.array_equal(speech.samples, expected.samples)
            assert speech.phones == expected.phones


def test_after_digital_silence_sound_begins_at_the_reported_sample() -> None:
    onsets = []
    for text, voice in itertools.product(SENTENCES, (AMERICAN, BRITISH)):
        samples, marks = synthesize(text, voice)
        for mark in marks:
            silent = mark.sample > 200 and not samples[mark.sample - 200 : mark.sample].any()
            if mark.phone and silent:
                onsets.append(int(samples[mark.sample :].nonzero()[0][0]))
    assert len(onsets) > 30
    assert max(onsets) <= 1


def test_the_engine_has_no_lead() -> None:
    """Between a fricative and a vowel, where the spectrum changes at once, it changes at the reported time."""
    leads = []
    for text, voice in itertools.product(SENTENCES, (AMERICAN, BRITISH)):
        samples, marks = synthesize(text, voice)
        labels = [LABELS.get(mark.phone.lstrip("ˈˌ"), SILENCE) for mark in marks]
        for (before, after), mark in zip(itertools.pairwise(labels), marks[1:], strict=False):
            if before not in VOWELS | SONORANTS | STOPS | {SILENCE} and after in VOWELS:
                reach = round(0.020 * espeak.SAMPLE_RATE)
                leads.append(strongest_change(samples, mark.sample - reach, mark.sample + reach) - mark.sample)
    assert len(leads) > 20
    assert abs(np.median(leads)) < 0.002 * espeak.SAMPLE_RATE


def test_a_stop_begins_with_its_closure() -> None:
    samples, marks = synthesize("Appear at a table.", AMERICAN)
    labels, edges = phone_edges(samples, marks)
    for label in ("p", "t"):
        place = labels.index(label)
        closure = samples[edges[place] : marks[place].sample]
        assert len(closure) > 0.02 * espeak.SAMPLE_RATE
        assert not closure.any()
        assert samples[edges[place] - 1] != 0


def test_an_l_after_a_vowel_sounds() -> None:
    samples, marks = synthesize("All.", AMERICAN)
    labels, edges = phone_edges(samples, marks)
    assert labels[:2] == ["ao", "l"]
    assert not samples[marks[1].sample : marks[2].sample].any()  # the engine's own l is empty
    assert edges[2] - edges[1] > 0.03 * espeak.SAMPLE_RATE
    assert samples[edges[1] : edges[2]].any()


def test_a_vowel_begins_where_the_nasal_ends() -> None:
    """The nasal is much weaker than the vowel: the sound grows at the corrected boundary, before the reported one."""
    samples, marks = synthesize("My moon.", AMERICAN)
    labels, edges = phone_edges(samples, marks)
    assert labels[:2] == ["m", "ay"]
    period = round(0.01 * espeak.SAMPLE_RATE)
    loudness = [np.square(samples[start : start + period]).mean() for start in (edges[1] - period, edges[1])]
    assert edges[1] < marks[1].sample
    assert loudness[1] > 4 * loudness[0]


def test_strongest_change_finds_where_one_noise_follows_another() -> None:
    noise = np.random.default_rng(0).standard_normal(espeak.SAMPLE_RATE)
    dark = np.convolve(noise, np.ones(8) / 8, mode="same")
    samples = 0.1 * np.where(np.arange(len(noise)) < 11025, dark, noise - dark).astype(np.float32)
    assert strongest_change(samples, 10025, 12025) == pytest.approx(11025, abs=0.0015 * espeak.SAMPLE_RATE)
    assert strongest_change(samples, 5000, 5000) == 5000


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"espeakng_loader, which is not installed: pip install"):
        speak("Hello.", AMERICAN)


def test_where_nothing_may_run_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(broken))
    with pytest.raises(UserError, match="cannot load eSpeak NG .* set TMPDIR"):
        speak("Hello.", AMERICAN)


@pytest.mark.parametrize(
    "voice, message",
    [
        (Voice("en-USA", "m3"), "no accent 'en-USA': did you mean \"en-US\""),
        (Voice("en-US", "Andreas"), "no timbre 'Andreas': did you mean \"Andrea\""),
    ],
)
def test_an_unknown_voice_is_refused(voice: Voice, message: str) -> None:
    with pytest.raises(UserError, match=message):
        speak("Hello.", voice)


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to say in '…'"):
        speak("…", AMERICAN)
    with pytest.raises(UserError, match=r"says \[.\], which is not in the phone set"):
        speak("A kitten.", AMERICAN)


def test_version_is_that_of_the_engine() -> None:
    assert espeak.version().split(".")[0] == "1"
