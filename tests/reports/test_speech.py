"""Pictures of speech: what is computed before it is drawn."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from foresay.reports.example import Layer, flac, read_example
from foresay.reports.speech import code_color, cosine_similarity, draw_codes, mel_place, mel_spectrogram, neighbors_alike
from reference.example_run import RATE, example_arrays


def test_similarity_is_the_cosine_of_every_pair() -> None:
    values = np.random.default_rng(0).standard_normal((7, 4))
    values[3] = 0.0  # a frame of silence is like nothing
    alike = cosine_similarity(values)
    for i, one in enumerate(values):
        for j, other in enumerate(values):
            norms = np.linalg.norm(one) * np.linalg.norm(other)
            assert alike[i, j] == pytest.approx(one @ other / norms if norms else 0.0)


def test_neighbors_are_distinguished_by_the_boundary_between_them() -> None:
    # frames at 0.05, 0.15, …: two a phone, from 0.1 to 0.5; outside the tier neighbors count for nothing
    values = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    layer = Layer("z", values, 10.0, 0.05, len(values))
    assert neighbors_alike(layer, np.array([0.1, 0.3, 0.5])) == (1.0, 0.0)


def test_neighbors_without_phones_say_nothing() -> None:
    layer = Layer("z", np.ones((5, 2)), 10.0, 0.05, 5)
    assert neighbors_alike(layer, np.array([])) is None


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_tone_lies_in_its_mel_band(rate: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    energy = mel_spectrogram(tone, rate, bands=80)
    assert energy.shape == (80, 100)
    loudest = np.argmax(energy[:, 50]) / 79
    assert loudest == pytest.approx(mel_place(1000, rate), abs=1 / 79)


def test_the_sound_is_kept_to_the_sixteenth_bit() -> None:
    example = read_example(example_arrays())
    assert example is not None
    address = flac(example.waveform.clip(-1.0, 1.0), example.sample_rate)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert rate == RATE
    np.testing.assert_allclose(sound, example.waveform, atol=2**-15)


def test_an_example_without_sound_is_none() -> None:
    assert read_example({"id": np.array("image")}) is None


def test_codes_are_drawn_as_runs() -> None:
    example = read_example(example_arrays())
    assert example is not None
    codes = np.repeat([7, 3, 7], [30, 10, 20])
    picture = draw_codes([(0, Layer("z", np.zeros((60, 2)), 100.0, 0.005, 60, codes))], example, "codes")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert [text for text in texts if text in {"7", "3"}] == ["7", "3", "7"]  # in order, once each
    assert "z" in texts


def test_codes_that_follow_each_other_differ_in_color() -> None:
    colors = np.array([code_color(code) for code in range(50)])
    distances = np.linalg.norm(colors[:, None] - colors, axis=-1) + np.eye(50)
    assert distances.min() > 0.02
    assert np.linalg.norm(np.diff(colors, axis=0), axis=1).min() > 0.2
    assert colors.mean(axis=1).min() > 0.4  # black numbers can be read on all of them
