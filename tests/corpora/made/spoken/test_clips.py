"""Clips: styles change what they say they change, and what is dealt comes equally often."""

import itertools
from collections import Counter

import numpy as np

from foresay.audio.voice import Voice
from foresay.corpora.made.spoken import conversations
from foresay.corpora.made.spoken.clips import PLAIN, SpokenClip, Style, dealt, several


def test_a_plain_style_changes_nothing() -> None:
    voice, samples = Voice("en", "f1", rate=161), np.random.default_rng(0).standard_normal(100).astype(np.float32)
    assert PLAIN.of(voice) == voice
    np.testing.assert_array_equal(PLAIN.color(samples), samples)


def test_a_style_changes_a_voice_within_what_the_engine_knows() -> None:
    style = Style(rate=1.2, pitch=30, melody=-40)
    assert style.of(Voice("en", "f1", rate=150, pitch=50, melody=50)) == Voice("en", "f1", rate=180, pitch=80, melody=10)
    assert style.of(Voice("en", "f1", rate=150, pitch=80, melody=20)) == Voice("en", "f1", rate=180, pitch=99, melody=0)


def test_effort_raises_high_frequencies_against_low_ones() -> None:
    low, high = (np.sin(2 * np.pi * hertz * np.arange(1600) / 16000).astype(np.float32) for hertz in (200, 6000))
    for effort in (-0.6, 0.8):
        colored = Style(effort=effort).color(low)
        assert colored[0] == low[0]
        assert colored[1] == np.float32(low[1] - np.float32(effort) * low[0])
        gains = [np.square(Style(effort=effort).color(tone)).mean() / np.square(tone).mean() for tone in (low, high)]
        assert (gains[1] > gains[0]) == (effort > 0)


def test_louder_is_louder() -> None:
    plain, loud = (SpokenClip("u", "er", (), "us-leo-low", "Ruth laughed.", style=style) for style in (PLAIN, Style(louder=4)))
    levels = [np.square(clip.record(np.random.default_rng(0))[0]).mean() for clip in (plain, loud)]
    np.testing.assert_allclose(10 * np.log10(levels[1] / levels[0]), 4, atol=1e-4)


def test_dealt_things_come_equally_often_in_changing_order() -> None:
    rounds = list(itertools.islice(dealt("abcd", np.random.default_rng(0)), 40))
    assert all(sorted(rounds[start : start + 4]) == list("abcd") for start in range(0, 40, 4))
    assert len({tuple(rounds[start : start + 4]) for start in range(0, 40, 4)}) > 5
    assert Counter(rounds)["a"] == 10


def test_there_is_always_one() -> None:
    assert [several(5, scale) for scale in (0.01, 0.5, 1.0, 3.0)] == [1, 2, 5, 15]


def test_a_style_is_spoken() -> None:
    slow, fast = (
        SpokenClip("u", "er", (), "us-leo-low", "Ruth laughed.", style=Style(rate=rate, effort=effort)).record(np.random.default_rng(0))
        for rate, effort in ((0.8, -0.6), (1.2, 0.8))
    )
    words = [sum(end - start for start, end, _ in item.words or ()) for _, item in (slow, fast)]
    assert 0.55 < words[1] / words[0] < 0.8
    highs = [np.square(np.diff(samples)).mean() / np.square(samples).mean() for samples, _ in (slow, fast)]
    assert highs[1] > 3 * highs[0]


def test_nobody_begins_before_his_last_turn_ended() -> None:
    turns = [(0, 16000, "one"), (10000, 12000, "other")]
    starts = [conversations._start(turns, np.random.default_rng(seed)) for seed in range(20)]
    assert min(starts) == 16000 + 800
    assert min(conversations._start(turns[:1], np.random.default_rng(seed)) for seed in range(20)) < 16000
