"""Voice conversion: a verifier that separates the toy's voices takes the converted for the target, and the source for itself."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay.contracts import FeatureExtractor, Frames
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.synthesis import voice_conversion
from foresay.evaluation.synthesis.verifier import Verifier, vectors_of
from foresay.loading import load
from foresay.results import Result
from foresay.runs import Data, Run
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer

VOICES = {"low": 0.1, "mid": 0.2, "high": 0.3}
"""How loud the toy speaks in each."""


MEASURE = {"measures": ["voice_conversion"], "options": ["voice_conversion.layer=loudness"]}


class Loudness(FeatureExtractor):
    """How near each 20 ms are to the loudness of each voice."""

    sample_rate, layer_names, receptive_field, first_center = 16_000, ("loudness",), 320, 160

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002
        return lengths // 320

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        loudness = waveforms.unfold(1, 320, 320).abs().mean(-1, keepdim=True) * torch.pi / 2
        near = (-500.0 * (loudness - torch.tensor(list(VOICES.values()))).square()).exp()
        return Frames({"loudness": near}, {"loudness": lengths // 320}, {"loudness": 50.0})


@pytest.fixture(autouse=True, scope="module")
def _by_loudness() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voice_conversion, "load_extractor", lambda *_: Loudness())
        yield


def voices(path: Path, count: int, seed: int) -> Manifest:
    """Tones of units as the toy makes them, as loud as the speaker is."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        speaker = list(VOICES)[number % 3]
        hertz = np.repeat(400 + 200 * rng.integers(6, size=20), 800)
        waveform = VOICES[speaker] * np.sin(2 * np.pi * np.cumsum(hertz) / 16_000) + 0.0003 * rng.normal(size=len(hertz))
        audio = path.parent / "audio" / f"{path.stem}-{number}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, waveform, 16_000)
        items.append(Item(f"{path.stem}-{number}", audio=audio, duration=1.0, sample_rate=16_000, speaker=speaker))
    write_manifest(path, items)
    return Manifest.open(path)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("corpus")
    return Corpora(voices(folder / "test.jsonl", 12, 1), voices(folder / "valid.jsonl", 30, 2))


@pytest.fixture(scope="module")
def model(corpora: Corpora) -> ToySynthesizer:
    found = toy_synthesizer(corpora.test, hum=0.0, names=tuple(sorted(VOICES)))
    with torch.no_grad():
        found.loudness.copy_(torch.tensor([VOICES[name] for name in sorted(VOICES)]))
    return found


@pytest.fixture(scope="module")
def rows(model: ToySynthesizer, corpora: Corpora) -> dict[tuple[str, str], Result]:
    measure = find_measure("voice_conversion:mfcc", {"encoder": "loudness", "layer": "loudness"})
    return {(row.layer, row.metric): row for row in measure([Subject("mine", model, ("speech",))], corpora)}


def test_converted_voices_are_taken_for_the_target_and_sources_are_not(rows: dict[tuple[str, str], Result]) -> None:
    accuracy = {layer: row.value for (layer, metric), row in rows.items() if metric == "accuracy"}
    assert list(accuracy) == ["recorded", "resynthesized", "converted", "source unchanged", "chance"]
    assert accuracy["recorded"] == 1.0
    assert accuracy["converted"] > 0.8
    assert accuracy["source unchanged"] == 0.0
    assert accuracy["chance"] == pytest.approx(1 / 3)
    errors = {layer: row.value for (layer, metric), row in rows.items() if metric == "EER"}
    assert errors["recorded"] < 0.1
    assert errors["converted"] < 0.2
    assert errors["source unchanged"] > 0.5
    similarity = {layer: row.value for (layer, metric), row in rows.items() if metric == "similarity"}
    assert similarity["converted"] > similarity["source unchanged"] + 0.3


def test_numbers_say_what_they_are_of(rows: dict[tuple[str, str], Result], corpora: Corpora) -> None:
    row = rows["converted", "accuracy"]
    assert (row.details["speakers"], row.details["recordings"], row.details["trained_on"]) == (3, 12, corpora.train.name)
    assert rows["converted", "EER"].details["trials"] == 36
    assert {layer for layer, metric in rows if not rows[layer, metric].details.get("control")} == {"converted"}  # what is headlined
    assert row.draws.names == tuple(corpora.test.ids)
    assert rows["chance", "accuracy"].drawn is None
    for layer in ("recorded", "resynthesized", "converted", "source unchanged"):
        for metric in ("accuracy", "similarity"):
            row = rows[layer, metric]
            assert row.low is not None
            assert row.low - 1e-9 <= row.value <= row.high + 1e-9


def test_what_the_synthesizer_was_trained_on_fits_no_verifier(model: ToySynthesizer, corpora: Corpora, tmp_path: Path) -> None:
    run = write_synthesizer(tmp_path / "vocoder", model)
    Run(run).data.write_text("")
    with trusting():
        fine = evaluate([run], corpora.test.path, corpora.train.path, **MEASURE)
        assert {row.layer for row in fine} >= {"converted"}
        train = corpora.train
        Run(run).begin("# resolved\n", {"train": Data(train.given, len(train), 0.01, train.digest)})
        with pytest.raises(UserError, match="vocoder was trained on .*valid, and a verifier that knows these recordings"):
            evaluate(
                [run],
                corpora.test.path,
                corpora.train.path,
                measures=["voice_conversion"],
                options=["voice_conversion.layer=loudness"],
                again=True,
            )


def test_speakers_must_be_known_on_both_sides(model: ToySynthesizer, corpora: Corpora, tmp_path: Path) -> None:
    measure, subject = find_measure("voice_conversion:mfcc", {"layer": "loudness"}), Subject("mine", model, ("speech",))
    write_manifest(
        tmp_path / "other.jsonl", (replace(one, speaker="eva" if one.speaker == "low" else one.speaker) for one in corpora.train)
    )
    with pytest.raises(UserError, match=r"has speakers whom the verifier would not know \(low, …\)"):
        measure([subject], Corpora(corpora.test, Manifest.open(tmp_path / "other.jsonl")))
    alone = Subject("alone", toy_synthesizer(corpora.test, names=("low", "nobody")), ("speech",))
    with pytest.raises(UserError, match=r"both alone \(low, nobody\) and .*valid know: two at least, not 1"):
        measure([alone], corpora)
    with pytest.raises(UserError, match="the speaker verifier learns on one corpus and is tested on another"):
        measure([subject], Corpora(corpora.test))
    with pytest.raises(UserError, match="mfcc synthesizes no speech"):
        measure([Subject("mfcc", load("mfcc"), ("mfcc",))], corpora)


def test_whoever_is_unknown_is_no_speaker(model: ToySynthesizer, corpora: Corpora, tmp_path: Path) -> None:
    measure, subject = find_measure("voice_conversion:mfcc", {"layer": "loudness"}), Subject("mine", model, ("speech",))
    for name, corpus in (("test", corpora.test), ("valid", corpora.train)):
        write_manifest(tmp_path / f"{name}.jsonl", (replace(one, speaker=None) if place < 3 else one for place, one in enumerate(corpus)))
    test, train = (Manifest.open(tmp_path / f"{name}.jsonl") for name in ("test", "valid"))
    assert {row.details["speakers"] for row in measure([subject], Corpora(corpora.test, train)) if "speakers" in row.details} == {3}
    with pytest.raises(UserError, match=r"would not know \(unknown, …\)"):
        measure([subject], Corpora(test, train))


def test_a_verifier_whitens_within_speakers_and_scores_cosines() -> None:
    rng = np.random.default_rng(0)
    means = 3.0 * rng.normal(size=(3, 4))
    names = np.repeat(["a", "b", "c"], 200)
    vectors = (means[np.repeat(np.arange(3), 200)] + rng.normal(size=(600, 4))) * np.array([1.0, 5.0, 0.1, 1e3])
    verifier = Verifier.fit(vectors, names.tolist())
    assert verifier.speakers == ("a", "b", "c")
    white = (vectors - verifier.center) @ verifier.whitening
    residuals = white - np.stack([white[names == name].mean(axis=0) for name in names])
    covariance = residuals.T @ residuals / (600 - 3)
    assert np.abs(covariance - np.eye(4)).max() < 0.15  # features that do not depend on each other are shrunk alike
    scores = verifier.scores(vectors)
    assert np.abs(scores).max() <= 1 + 1e-9
    own = scores[np.arange(600), np.repeat(np.arange(3), 200)]
    for row, name in ((5, "a"), (300, "b")):
        mean = np.mean([white[names == name].mean(axis=0)], axis=0)
        expected = white[row] @ mean / np.linalg.norm(white[row]) / np.linalg.norm(mean)
        assert own[row] == pytest.approx(expected)
    assert (scores.argmax(axis=1) == np.repeat(np.arange(3), 200)).mean() > 0.9
    scales = np.array([1e-3, 1.0, 1e4, 7.0])
    assert Verifier.fit(vectors * scales, names.tolist()).scores(vectors * scales) == pytest.approx(scores)  # whatever units they are in


def test_a_verifier_of_few_recordings_shrinks_what_features_share_by_a_tenth() -> None:
    """It whitens the covariance within speakers, with N - K degrees of freedom, whose diagonal is kept."""
    vectors, names = np.random.default_rng(0).normal(size=(6, 3)) * np.array([1.0, 5.0, 0.1]), ["a", "a", "a", "b", "b", "b"]
    residuals = vectors - np.repeat([vectors[:3].mean(0), vectors[3:].mean(0)], 3, axis=0)
    within = residuals.T @ residuals / (6 - 2)
    whitening = Verifier.fit(vectors, names).whitening
    assert whitening.T @ (0.9 * within + 0.1 * np.diag(np.diag(within))) @ whitening == pytest.approx(np.eye(3), abs=1e-6)


def test_a_verifier_needs_several_recordings_of_several_speakers() -> None:
    with pytest.raises(UserError, match="these are 4 of 1"):
        Verifier.fit(np.ones((4, 2)), ["a"] * 4)
    with pytest.raises(UserError, match="these are 3 of 2"):
        Verifier.fit(np.ones((3, 2)), ["a", "a", "b"])
    assert np.isfinite(Verifier.fit(np.ones((4, 2)), ["a", "a", "b", "b"]).scores(np.ones((1, 2)))).all()


def test_a_recording_is_the_mean_and_deviation_of_its_frames(corpora: Corpora) -> None:
    found = vectors_of(Subject("logmel", load("logmel"), ("logmel",)), corpora.test, "cpu")
    waveform = torch.from_numpy(corpora.test.read(3, 16_000))[None]
    frames = load("logmel").features(waveform, torch.tensor([waveform.shape[1]])).values["logmel"][0].double().numpy()
    assert list(found) == list(range(12))
    assert found[3] == pytest.approx(np.concatenate([frames.mean(axis=0), frames.std(axis=0)]), abs=1e-4)
