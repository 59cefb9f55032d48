"""What was encoded once is not encoded again, and its frames are the very same."""

from collections.abc import Collection, Sequence

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay.building import build
from foresay.contracts import Frames, SpeechModel
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.encoding.kept import KeptFeatures
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.evaluation.measure import Corpora, find_measure

RATE = 16_000
LAYERS = ("z", "c")
MODEL: list[int] = []
"""Whatever can be a model; nothing says that it can be hashed."""


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    torch.manual_seed(0)
    return build({"name": "cpc", "channels": 32, "context_size": 32}).eval()


@pytest.fixture
def encoded(model: SpeechModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many recordings the model encoded, batch by batch."""
    sizes: list[int] = []
    encode = model.features

    def counted(waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        sizes.append(len(waveforms))
        return encode(waveforms, lengths, layers)

    monkeypatch.setattr(model, "features", counted)
    return sizes


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Twelve recordings of noise by six speakers, each with two phones again and again."""
    folder, random, items = tmp_path_factory.mktemp("noise"), np.random.default_rng(0), []
    for number in range(12):
        samples = 8000 + 640 * number
        soundfile.write(folder / f"{number}.wav", random.normal(size=samples) * 0.1, RATE)
        phones = tuple(Interval(start / 10, (start + 1) / 10, "ab"[start % 2]) for start in range(5))
        audio, speaker = folder / f"{number}.wav", f"speaker {number % 6}"
        items.append(Item(str(number), audio, duration=samples / RATE, sample_rate=RATE, speaker=speaker, phones=phones))
    write_manifest(folder / "noise.jsonl", items)
    return Manifest.open(folder / "noise.jsonl")


def features(subject: Subject, manifest: Manifest, places: Collection[int] | None = None) -> dict[tuple[int, str], Tensor]:
    found = encode_recordings(subject, manifest, items=places)
    return {(recording.index, layer): values for recording in found for layer, values in recording.features.items()}


def test_no_frame_depends_on_what_was_encoded_before(model: SpeechModel, manifest: Manifest, encoded: list[int]) -> None:
    kept = KeptFeatures()
    asked: list[tuple[tuple[str, ...], set[int] | None]] = [(("c",), None), (LAYERS, {1, 2, 7}), (LAYERS, None), (("z",), None)]
    for layers, places in asked:
        alone = features(Subject("cpc", model, layers), manifest, places)
        encoded.clear()
        found = features(Subject("cpc", model, layers, kept=kept), manifest, places)
        assert found.keys() == alone.keys()
        assert all(found[key].equal(values) for key, values in alone.items())
    assert encoded == []
    features(Subject("cpc", build({"name": "cpc", "channels": 32, "context_size": 32}).eval(), LAYERS, kept=kept), manifest)
    assert encoded == []  # another model has features of its own
    found[0, "z"].zero_()
    assert features(Subject("cpc", model, ("z",), kept=kept), manifest)[0, "z"].any()  # nobody can spoil what is kept


NAMES = ("similarity:cosine", "geometry:frames", "clusters:k50", "slowness:k50", "abx:phone")
OPTIONS = {"abx:phone": {"max_size_group": 3, "max_x_across": 2}, "clusters:k50": {"clusters": [3]}}


def rated(model: SpeechModel, manifest: Manifest, kept: KeptFeatures | None) -> list[tuple[object, ...]]:
    """Rate a model by all measures; `kept` is theirs together."""
    subject = Subject("cpc", model, LAYERS) if kept is None else Subject("cpc", model, LAYERS, kept=kept)
    rows = [row for name in NAMES for row in find_measure(name, OPTIONS.get(name))([subject], Corpora(manifest))]
    return [(row.measure, row.metric, row.layer, row.value, row.low) for row in rows]


@pytest.fixture
def together(model: SpeechModel, manifest: Manifest, encoded: list[int]) -> tuple[list[tuple[object, ...]], list[int]]:
    """What all measures find together, and the batches that were encoded for it."""
    found = rated(model, manifest, KeptFeatures())
    return found, list(encoded)


@pytest.fixture
def alone(model: SpeechModel, manifest: Manifest) -> list[tuple[object, ...]]:
    """What each finds by itself."""
    return rated(model, manifest, None)


def test_measures_of_one_evaluation_encode_each_batch_once_and_their_numbers_stay_the_same(
    together: tuple[list[tuple[object, ...]], list[int]], alone: list[tuple[object, ...]]
) -> None:
    found, encoded = together
    assert encoded == [8, 4, *12 * [1]]  # batches for all but ABX, each recording by itself for ABX
    assert found == alone


def test_a_batch_is_encoded_once_and_its_layers_come_back_as_they_were() -> None:
    kept, asked = KeptFeatures(), []

    def encode() -> dict[str, list[torch.Tensor]]:
        asked.append(1)
        return {"a": [torch.ones(2, 3)], "b": [torch.zeros(1, 3)]}

    first = kept.get(MODEL, "batch", ("a", "b"), encode)
    again = kept.get(MODEL, "batch", ("b",), encode)
    assert len(asked) == 1
    assert again["b"][0].equal(first["b"][0])
    assert kept.get(MODEL, "other", ("a",), encode)["a"][0].equal(torch.ones(2, 3))
    kept.get([], "batch", ("a",), encode)
    assert len(asked) == 3  # another model, though it is equal
    kept.get(MODEL, "batch", ("c",), lambda: {"c": [torch.ones(1, 1)]})  # a layer that is not there is encoded
    assert len(asked) == 3


def test_no_more_is_kept_than_there_is_room_for() -> None:
    kept, asked = KeptFeatures(most=2 * 6 * 4), []

    def encode() -> dict[str, list[torch.Tensor]]:
        asked.append(1)
        return {"a": [torch.ones(2, 3)]}

    for batch in ("one", "two", "three", "one", "two", "three"):
        kept.get(MODEL, batch, ("a",), encode)
    assert len(asked) == 4  # the third one twice
    assert not kept.has_room
    assert not KeptFeatures(0).has_room


def test_what_is_kept_does_not_hold_on_to_the_batch_it_is_cut_of() -> None:
    kept, padded = KeptFeatures(), torch.ones(8, 1000, 3)
    kept.get(MODEL, "batch", ("a",), lambda: {"a": [padded[0, :2]]})
    (found,) = kept.get(MODEL, "batch", ("a",), dict)["a"]
    assert found.untyped_storage().nbytes() == 2 * 3 * 4
