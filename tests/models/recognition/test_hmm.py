"""GMM-HMM: no pass lowers the likelihood, tones are recognized and found in time, what cannot be learnt from is counted."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay.contracts import Encoded, FeatureExtractor, FitData
from foresay.corpora.manifest import Interval, Manifest, write_manifest
from foresay.decoding.state_alignment import StateChain, align_states, text_scores
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.subjects import Subject
from foresay.encoding.text_alignment import text_alignment
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.loading import load
from foresay.models.recognition.hmm import HMM, HMMSettings, Spoken
from foresay.workflows.language_models import train_ngram
from foresay.workflows.train import run_recipe
from reference.tones import write_tones, write_words

SILENCE = 0.2
"""Seconds."""
SETTINGS = HMMSettings(("<sil>", "a", "b", "c", "d"), states=2, gaussians=2, passes=6, grow_every=2)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of two tones, with silence between and, as in any recording, before and behind."""
    path = write_words(tmp_path_factory.mktemp("words") / "train.jsonl", 12)
    items = []
    for item in Manifest.open(path):
        assert item.audio is not None
        waveform, rate = soundfile.read(item.audio)
        noise = 0.001 * np.random.default_rng(0).normal(size=2 * (pad := round(SILENCE * rate)))
        soundfile.write(item.audio, np.concatenate([noise[:pad], waveform, noise[pad:]]), rate)
        moved = tuple(Interval(word.start + SILENCE, word.end + SILENCE, word.label) for word in item.words or ())
        items.append(replace(item, duration=item.duration + 2 * SILENCE, words=moved))
    write_manifest(path, items)
    return path


@pytest.fixture(scope="module")
def run(words: Path) -> Path:
    overrides = [f"model.{key}" for key in ("states=2", "gaussians=2", "passes=20", "grow_every=10")]
    run_recipe("finetune", "hmm-tiny", words, words.parent / "run", overrides=overrides)
    return words.parent / "run"


@pytest.fixture(scope="module")
def hmm(run: Path) -> HMM:
    model = load(run)
    assert isinstance(model, HMM)
    return model


def untrained(**changed: object) -> HMM:
    encoder = load("mfcc")
    assert isinstance(encoder, FeatureExtractor)
    return HMM(replace(SETTINGS, **changed), encoder).eval()


class Toy(FitData):
    """Utterances that are drawn: two symbols of three frames each, and others that cannot be learnt from."""

    seed = 0

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: str) -> Iterator[tuple[Tensor, str]]:  # noqa: ARG002
        generator = torch.Generator().manual_seed(0)
        for text in ("ab", "ba a", "b", "", "a"):
            frames = [3.0 * (ord(letter) - ord("a")) + torch.randn(4, 39, generator=generator) for letter in text.replace(" ", "")]
            yield torch.cat(frames) if frames else torch.zeros(3, 39), text
        yield torch.randn(3, 39, generator=generator), "aba"


def spoken(model: HMM) -> list[Spoken]:
    return model._spoken(Toy())


@pytest.mark.parametrize("paths", ["best", "all"])
def test_a_pass_never_lowers_the_likelihood(paths: str) -> None:
    model = untrained(paths=paths, least=0.0, floor=1e-4)
    said = spoken(model)
    model.mixtures.begin(torch.zeros(39), torch.ones(39))
    totals = [model.improve(said) for _ in range(6)]
    model.mixtures.grow(2)
    totals_of_more = [model.improve(said) for _ in range(6)]
    for some in (totals, totals_of_more):
        assert all(after > before - 1e-3 for before, after in itertools.pairwise(some))
    assert totals_of_more[-1] > totals[0] + 1


@pytest.mark.parametrize("paths", ["best", "all"])
def test_what_a_pass_returns_is_the_score_of_a_frame(paths: str) -> None:
    model = untrained(paths=paths)
    model.fit(Toy())
    said, total = spoken(model), 0.0
    for one in said:
        likelihoods = Encoded(model.mixtures(one.frames)[None], torch.tensor([len(one.frames)]))
        found = align_states if paths == "best" else text_scores
        score = found(likelihoods, [one.chain], model.topology)
        total += float(score.score if paths == "best" else score)
    assert model.improve(said) == pytest.approx(total / sum(len(one.frames) for one in said), rel=1e-4)


def test_frames_are_shared_out_evenly_at_first() -> None:
    model = untrained()
    chain = StateChain.of([[[1]], [[2, 1]]], model.topology)
    counts = model._evenly(Spoken(torch.zeros(20, 39), chain))  # 10 states of the text and its two silences: two frames each
    assert counts.goes.tolist() == [2, 2, 2, 2, 1, 1, 0, 0, 0, 0]
    assert counts.stays.tolist() == counts.goes.tolist()
    short = model._evenly(Spoken(torch.zeros(6, 39), chain))  # no frames are left for silence
    assert short.goes.tolist() == [0, 0, 2, 2, 1, 1, 0, 0, 0, 0]


def test_what_cannot_be_learnt_from_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(spoken(untrained())) == 4
    assert "2 of 6 utterances are left out" in capsys.readouterr().err

    class Silent(Toy):
        def utterances(self, encoder: FeatureExtractor, layer: str, transcript: str) -> Iterator[tuple[Tensor, str]]:  # noqa: ARG002
            yield torch.zeros(9, 39), ""

    with pytest.raises(UserError, match="none of the 1 utterances has a transcript"):
        untrained().fit(Silent())
    with pytest.raises(UserError, match=r"model\.symbols is empty"):
        untrained(symbols=())


def test_it_recognizes_what_it_learnt_and_finds_its_words_in_time(hmm: HMM, words: Path) -> None:
    manifest = Manifest.open(words)
    assert hmm.symbols == ("<sil>", "a", "b", "c", "d")
    assert set(hmm.pronunciations or {}) == {word for item in manifest for word in (item.text or "").split()}
    decoder = Decoder(hmm, SearchSettings(beam=100, word_weight=-2.0))  # between tones of two words others can be found
    assert [one.text for one in transcribed(decoder, manifest, "cpu")] == [item.text for item in manifest]
    found = find_measure("alignment:words")([Subject("hmm", hmm, ("likelihoods",))], Corpora(manifest))
    values = {(row.model, row.metric): row.value for row in found}
    assert values["hmm", "boundary error"] < 25 < values["even words", "boundary error"]  # ms
    assert values["hmm", "share in the right word"] > 0.93


def test_another_text_is_found_too(hmm: HMM, words: Path) -> None:
    manifest = Manifest.open(words)
    waveform = torch.from_numpy(manifest.read(0, hmm.sample_rate))[None]
    frames = hmm.features(waveform, torch.tensor([waveform.shape[1]]))
    encoded = Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"])
    assert [word.text for word in text_alignment(hmm, encoded, "Abcd dcba.", 2.0).words] == ["abcd", "dcba"]  # words it never met


def test_words_of_a_language_model_are_spelled(hmm: HMM, tmp_path: Path) -> None:
    assert set(Decoder(hmm, SearchSettings()).words) == set(hmm.pronunciations or {})
    (tmp_path / "texts.txt").write_text("abba cad\ncad\n")
    train_ngram([tmp_path / "texts.txt"], tmp_path / "toy.arpa", order=2)
    decoder = Decoder(hmm, SearchSettings(lm=str(tmp_path / "toy.arpa"), lm_weight=1.0, word_weight=0.0))
    assert set(decoder.words) == {"abba", "cad"}


def test_batch_mates_and_padding_change_nothing(hmm: HMM) -> None:
    waveforms = 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    both = hmm.features(waveforms, torch.tensor([8000, 6000])).values["likelihoods"]
    alone = hmm.features(waveforms[1:, :6000], torch.tensor([6000]))
    count = int(alone.lengths["likelihoods"][0])
    torch.testing.assert_close(both[1, :count], alone.values["likelihoods"][0], atol=1e-3, rtol=1e-3)
    assert both.shape[2] == len(hmm.stay) == 10


def test_phones_are_those_of_the_manifest(tmp_path: Path) -> None:
    corpus = write_tones(tmp_path / "train.jsonl", 6)
    items = list(Manifest.open(corpus))
    for unit, text in (("phones", "nothing of this is a phone"), ("letters", None)):
        path = tmp_path / f"{unit}.jsonl"
        phones = [tuple((0.1 * n, 0.1 * n + 0.1, letter) for n, letter in enumerate((item.text or "").split())) for item in items]
        write_manifest(path, [replace(item, text=text or item.text, phones=one) for item, one in zip(items, phones, strict=True)])  # type: ignore[arg-type]
        run_recipe("finetune", "hmm-tiny", path, tmp_path / unit, overrides=[f"model.units={unit}", "model.passes=1", "model.states=1"])
        model = load(tmp_path / unit)
        assert isinstance(model, HMM)
        assert set(model.symbols[1:]) == set("abcd")
        assert (model.pronunciations is None) == (unit == "phones")
