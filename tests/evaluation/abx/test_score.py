"""ABX errors equal loops, fastabx's numbers, and what must be so."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from foresay import draws
from foresay.errors import UserError
from foresay.evaluation.abx import pairs as abx_pairs
from foresay.evaluation.abx import score as abx_score
from foresay.evaluation.abx.dataset import make_dataset
from foresay.evaluation.abx.items import Items, Token
from foresay.evaluation.abx.score import Score
from foresay.evaluation.abx.task import Task
from golden.abx.speech import RATE, Line, as_distributions, speak
from reference import abx_loops

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "abx" / "fastabx.json").read_text())
CLOSE = {"angular": 2e-6, "euclidean": 2e-6, "kl": 2e-5}
"""fastabx computes in float32. Of divergences, sums of differences of logarithms, that flips a few triplets; loops in float64 find ours."""


def score(features: dict[str, np.ndarray], lines: Sequence[Line], speaker: str, context: str, **named: str) -> Score:
    order = named.pop("order", "librilight")
    chosen = {"slicing": "centers", "normalization": "none", "distance": "angular", **named}
    dataset = make_dataset(features, Items.of([Token(*line) for line in lines]), RATE, **chosen)
    return Score.of(dataset, Task.of(dataset.items, speaker=speaker, context=context, max_size_group=None, max_x_across=None), order)


def test_golden_recordings_are_those_that_fastabx_rated() -> None:
    features, _ = speak()
    assert sum(np.abs(frames).sum(dtype=np.float64) for frames in features.values()) == pytest.approx(GOLDEN["sum_of_features"], abs=1e-6)


@pytest.mark.parametrize("case", GOLDEN["errors"])
def test_fastabx_found_the_same(case: str) -> None:
    slicing, distance, speaker, context = case.split()
    features, lines = speak()
    if distance == "kl":
        features = {name: as_distributions(frames) for name, frames in features.items()}
    found = score(features, lines, speaker, context, slicing=slicing, distance=distance)
    assert found.value == pytest.approx(GOLDEN["errors"][case], abs=CLOSE[distance])


def babble(
    seed: int, make: Callable[[np.random.Generator, int], np.ndarray], speakers: int = 3
) -> tuple[dict[str, np.ndarray], list[Line]]:
    """Speak three phones in recordings of uneven length by some speakers; `make` gives a phone's frames (4, D)."""
    random = np.random.default_rng(seed)
    features, lines = {}, []
    for number in range(max(speakers, 5)):
        phones = random.integers(3, size=12 + 3 * number)
        lengths = random.integers(1, 5, size=len(phones))
        edges = np.concatenate([[0], lengths.cumsum()]) / RATE
        features[f"r{number}"] = np.concatenate([make(random, phone)[:length] for phone, length in zip(phones, lengths, strict=True)])
        for i in range(1, len(phones) - 1):
            labels = (f"p{phones[j]}" for j in (i, i - 1, i + 1))
            lines.append((f"r{number}", edges[i], edges[i + 1], *labels, f"s{number % speakers}"))
    return features, lines


def noisy(random: np.random.Generator, phone: int) -> np.ndarray:
    return np.eye(3)[phone] + 0.7 * random.normal(size=(4, 3))


def code(random: np.random.Generator, phone: int) -> np.ndarray:
    """One-hot codes, so that everything ties."""
    return np.eye(3)[(phone + random.integers(2, size=4)) % 3]


@pytest.mark.parametrize("make", [noisy, code])
@pytest.mark.parametrize("order", ["librilight", "cpc2"])
@pytest.mark.parametrize("context", ["within", "any"])
@pytest.mark.parametrize("speaker", ["within", "across"])
def test_like_loops(speaker: str, context: str, order: str, make: Callable) -> None:
    features, lines = babble(3, make)
    found = score(features, lines, speaker, context, order=order)
    assert found.value == pytest.approx(abx_loops.abx(features, lines, RATE, speaker=speaker, context=context, order=order), abs=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "kl"])
def test_like_loops_at_any_distance(distance: str) -> None:
    features, lines = babble(2, noisy)
    if distance == "kl":
        features = {name: as_distributions(frames) for name, frames in features.items()}
    expected = abx_loops.abx(features, lines, RATE, speaker="across", context="any", distance=getattr(abx_loops, distance))
    assert score(features, lines, "across", "any", distance=distance).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_nothing_depends_on_how_much_is_done_at_once(speaker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, lines = babble(4, noisy)
    whole = score(features, lines, speaker, "within")
    monkeypatch.setattr(abx_pairs, "POOL", 600)
    monkeypatch.setattr(abx_pairs, "CELLS", {"cpu": 20})
    monkeypatch.setattr(abx_score, "PAIRS_AT_ONCE", 10)
    monkeypatch.setattr(abx_score, "TRIPLETS_AT_ONCE", 3)
    pieces = score(features, lines, speaker, "within")
    np.testing.assert_array_equal(whole.errors, pieces.errors)


@pytest.mark.parametrize("speaker", ["within", "across"])
@pytest.mark.parametrize("distance", ["angular", "cosine", "euclidean", "kl"])
def test_what_sounds_all_the_same_is_chance(speaker: str, distance: str) -> None:
    """Exactly: every triplet is a tie."""
    sound = as_distributions(np.random.default_rng(0).normal(size=(1, 39)).astype(np.float32))
    features, lines = babble(5, lambda *_: sound.repeat(4, axis=0))
    found = score(features, lines, speaker, "any", distance=distance)
    assert found.value == 0.5
    assert (found.errors == 0.5).all()


def test_phones_that_sound_each_its_own_way_are_never_mistaken() -> None:
    features, lines = babble(6, lambda _, phone: np.eye(3)[[phone]].repeat(4, axis=0))
    assert score(features, lines, "across", "any").value == 0.0


@pytest.mark.parametrize("speaker", ["within", "across"])
def test_noise_is_near_chance(speaker: str) -> None:
    features, lines = babble(7, lambda random, _: random.normal(size=(4, 8)))
    assert score(features, lines, speaker, "any").value == pytest.approx(0.5, abs=0.05)


def test_neither_order_nor_scale_matters() -> None:
    features, lines = babble(8, noisy)
    value = score(features, lines, "across", "within").value
    shuffled = [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]
    scaled = {name: 10.0 * frames for name, frames in reversed(features.items())}
    assert score(scaled, shuffled, "across", "within").value == pytest.approx(value, abs=1e-12)


def test_the_interval_holds_the_value_and_is_over_speakers() -> None:
    found = score(*babble(3, noisy, speakers=6), "across", "any")
    interval = found.interval(0)
    assert interval[0] < found.value < interval[1]
    assert interval == found.interval(0) != found.interval(1)
    # Draws by hand: speakers that are drawn twice count twice. All are moved alike, so that their mean is the value.
    task, drawn = found.task, draws.stream("speakers", 0).multinomial(6, [1 / 6] * 6, size=1000)[:2]
    groups, (a, b, x) = task.groups, task.cells
    by_hand = []
    for draw in drawn:
        pairs: dict[tuple[int, int], list[float]] = {}
        for speaker, times in enumerate(draw):
            for pair in {(int(groups.phones[i]), int(groups.phones[j])) for i, j in zip(a, b, strict=True)}:
                here = (groups.speakers[a] == speaker) & (groups.phones[a] == pair[0]) & (groups.phones[b] == pair[1])
                pairs.setdefault(pair, []).extend(int(times) * [float(found.errors[here].mean())])
        by_hand.append(np.mean([np.mean(errors) for errors in pairs.values()]))
    assert interval.draws[1] - interval.draws[0] == pytest.approx(by_hand[1] - by_hand[0])
    assert interval.draws.mean() == pytest.approx(found.value)
    assert x.shape == a.shape


@pytest.mark.parametrize("speakers", [1, 4])
def test_few_speakers_have_no_interval(speakers: int) -> None:
    features, lines = babble(9, noisy, speakers=6)
    some = [line for line in lines if int(line[-1][1:]) < speakers]
    interval = score(features, some, "within", "any").interval(0)
    assert interval == ()
    assert interval.places.tolist() == list(range(speakers))


def test_too_much_to_compare_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abx_score, "MOST_PAIRS", 10)
    with pytest.raises(UserError, match="abx.max_size_group=10"):
        score(*babble(1, noisy), "within", "any")
