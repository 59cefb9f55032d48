"""One battery for every tokenizer, found by listing the files of `models/`: what each of them promises."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn

from foresay.building import assemble, build, describe, find_model
from foresay.contracts import Estimator, StateRecognizer, Tokenizer
from foresay.encoding.passes import CorpusPasses
from foresay.loading import load
from foresay.models.recognition.hmm import HMM, HMMSettings
from foresay.settings import parts_of, settings_class
from reference.levels import write_corpus
from reference.listed import models_of

SMALL = {"layer": "logmel", "clusters": 8}
"""Whatever of these a tokenizer has."""
CLIPS, SAMPLES = 3, 12_000


@pytest.fixture(params=models_of(Tokenizer), scope="module")
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    kind = find_model(request.param)
    owner = settings_class(kind)
    settings = owner(**{field.name: SMALL[field.name] for field in fields(owner) if field.name in SMALL})
    torch.manual_seed(0)
    built = assemble(kind, settings, {part: _part(contract) for part, contract in parts_of(kind).items()}).eval()
    if isinstance(built, Estimator):
        built.fit(CorpusPasses(write_corpus(tmp_path_factory.mktemp("corpus") / "train.jsonl", 8, seed=0), 0))
    assert isinstance(built, Tokenizer)
    return built


def _part(contract: type) -> nn.Module:
    """What tokenizers are made of: an encoder, or hidden Markov models on one."""
    if not issubclass(contract, StateRecognizer):
        return load("logmel")
    hmm = HMM(HMMSettings(("<sil>", "a", "b"), states=2, gaussians=1), load("logmel")).eval()
    hmm.mixtures.means.normal_(generator=torch.Generator().manual_seed(0))
    return hmm


def _noise() -> tuple[torch.Tensor, torch.Tensor]:
    return 0.1 * torch.randn(CLIPS, SAMPLES, generator=torch.Generator().manual_seed(0)), torch.tensor([SAMPLES, 9_000, 5_000])


def test_ids_are_below_the_vocabulary_and_at_the_frames_of_the_layer(tokenizer: Tokenizer) -> None:
    waveforms, lengths = _noise()
    tokens = tokenizer.encode(waveforms, lengths)
    assert tokens.ids.shape == (CLIPS, tokenizer.levels, int(tokens.lengths.max()))
    assert tokens.lengths.tolist() == tokenizer.encoder.frame_count(lengths, tokenizer.layer).tolist()
    assert int(tokens.ids.min()) >= 0
    assert int(tokens.ids.max()) < tokens.vocabulary == tokenizer.vocabulary
    assert tokens.frame_rate == tokenizer.encoder.sample_rate / tokenizer.encoder.hop(tokenizer.layer)


def test_tokens_of_a_clip_do_not_depend_on_its_batch(tokenizer: Tokenizer) -> None:
    waveforms, lengths = _noise()
    together = tokenizer.encode(waveforms, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = tokenizer.encode(waveforms[row : row + 1, :length], torch.tensor([length]))
        count = int(together.lengths[row])
        assert (alone.ids[0, :, :count] == together.ids[row, :, :count]).double().mean() > 0.99  # but for ties


def test_encoding_is_quantizing_frames(tokenizer: Tokenizer) -> None:
    waveforms, lengths = _noise()
    frames = tokenizer.encoder.features(waveforms[:1], lengths[:1], (tokenizer.layer,)).values[tokenizer.layer][0]
    assert torch.equal(tokenizer.quantize(frames).T, tokenizer.encode(waveforms[:1], lengths[:1]).ids[0])


def test_the_fingerprint_is_of_weights_and_settings(tokenizer: Tokenizer, tmp_path: Path) -> None:  # noqa: ARG001
    copy = build(describe(tokenizer)).eval()
    copy.load_state_dict(tokenizer.state_dict())
    assert copy.fingerprint == tokenizer.fingerprint
    changed = build(describe(tokenizer)).eval()
    changed.load_state_dict({name: value + 1 for name, value in tokenizer.state_dict().items()})
    assert changed.fingerprint != tokenizer.fingerprint
