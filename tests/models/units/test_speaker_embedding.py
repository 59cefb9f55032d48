"""Speaker embedding: means over time, the speakers of a corpus by name, and any recording."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foresay.building import build, describe
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.speaker_embedding import SpeakerEmbedding, SpeakerEmbeddingSettings
from reference.levels import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path: Path = tmp_path_factory.mktemp("corpus") / "train.jsonl"
    return write_corpus(path, 6, speakers=2, seed=0)


@pytest.fixture(scope="module")
def embedding(corpus: Manifest) -> SpeakerEmbedding:
    made = SpeakerEmbedding(SpeakerEmbeddingSettings("mfcc"), load("mfcc")).eval()
    made.fit(CorpusPasses(corpus, 0))
    return made


def _vectors(corpus: Manifest, embedding: SpeakerEmbedding) -> torch.Tensor:
    """Mean and deviation of each recording's frames, one after the other."""
    rows = []
    for place in range(len(corpus)):
        waveform = torch.from_numpy(corpus.read(place, 16_000))[None]
        frames = embedding.encoder.features(waveform, torch.tensor([waveform.shape[1]])).values["mfcc"][0]
        rows.append(torch.cat([frames.mean(0), frames.std(0, correction=0)]))
    return torch.stack(rows)


def test_a_voice_is_the_mean_of_its_recordings_standardized(corpus: Manifest, embedding: SpeakerEmbedding) -> None:
    rows = _vectors(corpus, embedding)
    standardized = (rows - rows.mean(0)) / rows.std(0, correction=0).clamp(min=1e-3)
    speakers = [item.speaker for item in corpus]
    assert list(embedding.names) == sorted(set(speakers))
    for name in embedding.names:
        own = torch.stack([row for row, speaker in zip(standardized, speakers, strict=True) if speaker == name]).mean(0)
        torch.testing.assert_close(embedding.of_names([name])[0], own, atol=1e-3, rtol=1e-3)


def test_a_recording_is_a_voice_alone_and_in_any_batch(corpus: Manifest, embedding: SpeakerEmbedding) -> None:
    waveforms = [torch.from_numpy(corpus.read(place, 16_000)) for place in range(3)]
    lengths = torch.tensor([len(one) for one in waveforms])
    together = embedding.of_audio(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)
    rows = _vectors(corpus, embedding)
    for row, waveform in enumerate(waveforms):
        alone = embedding.of_audio(waveform[None], lengths[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(alone[0] * embedding.scale + embedding.center, rows[row], atol=1e-3, rtol=1e-3)


def test_without_deviations_a_voice_is_the_mean_alone(corpus: Manifest, embedding: SpeakerEmbedding) -> None:
    made = SpeakerEmbedding(SpeakerEmbeddingSettings("mfcc", deviation=False), load("mfcc")).eval()
    made.fit(CorpusPasses(corpus, 0))
    assert 2 * made.size == embedding.size
    torch.testing.assert_close(made.of_names(made.names), embedding.of_names(made.names)[:, : made.size])


def test_those_who_are_known_are_learnt_by_name_and_others_by_the_audio(corpus: Manifest, embedding: SpeakerEmbedding) -> None:
    waveforms = torch.stack([torch.from_numpy(corpus.read(place, 16_000))[:16_000] for place in range(2)])
    lengths = torch.tensor([16_000, 16_000])
    name = embedding.names[0]
    found = embedding.of_batch([name, "a stranger"], waveforms, lengths)
    torch.testing.assert_close(found[0], embedding.of_names([name])[0])
    torch.testing.assert_close(found[1], embedding.of_audio(waveforms, lengths)[1])
    assert torch.equal(embedding.of_batch([name, name], waveforms, lengths), embedding.of_names([name, name]))


def test_names_and_vectors_are_kept_with_the_model(embedding: SpeakerEmbedding) -> None:
    copy = build(describe(embedding))
    assert isinstance(copy, SpeakerEmbedding)
    copy.load_state_dict(embedding.state_dict())
    assert (copy.names, copy.size) == (embedding.names, embedding.size)
    assert torch.equal(copy.of_names(copy.names), embedding.of_names(embedding.names))


def test_what_is_too_short_or_unknown_is_refused(embedding: SpeakerEmbedding) -> None:
    with pytest.raises(UserError, match="too short to know a voice by"):
        embedding.of_audio(torch.zeros(1, 100), torch.tensor([100]))
    with pytest.raises(UserError, match="a recording will do"):
        embedding.of_names(["a stranger"])
    with pytest.raises(UserError, match="no layer 'L9'"):
        SpeakerEmbedding(SpeakerEmbeddingSettings("L9"), load("mfcc"))


def test_nobody_is_known_by_name_where_nobody_says_who_speaks(corpus: Manifest, tmp_path: Path) -> None:
    """The mean of all voices would stand in for each of them, and a voice would not matter."""
    items = [replace(item, speaker=None if number % 2 else item.speaker) for number, item in enumerate(corpus)]
    for name, some, known in (("all", items[1::2], ()), ("some", items, ("speaker 0",))):
        write_manifest(tmp_path / f"{name}.jsonl", some)
        made = SpeakerEmbedding(SpeakerEmbeddingSettings("mfcc"), load("mfcc")).eval()
        made.fit(CorpusPasses(Manifest.open(tmp_path / f"{name}.jsonl"), 0))
        assert made.names == known
        assert made.of_names(known).shape == (len(known), made.size)
        waveforms, lengths = torch.from_numpy(corpus.read(1, 16_000))[None], torch.tensor([16_000])
        assert torch.equal(made.of_batch(["unknown"], waveforms, lengths), made.of_audio(waveforms, lengths))
        copy = build(describe(made))
        copy.load_state_dict(made.state_dict())
