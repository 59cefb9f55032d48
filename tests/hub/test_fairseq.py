"""fairseq's files: the same network as from transformers, and nothing in them is ever run."""

import argparse
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from foresay.contracts import Batch, SpeechModel
from foresay.errors import UserError
from foresay.hub.encoder import EncoderOnly
from foresay.hub.fairseq import flat
from foresay.loading import load
from foresay.models.representation.hubert import HuBERT
from foresay.models.representation.wav2vec2 import Wav2Vec2
from foresay.models.representation.wavlm import WavLM
from reference.tiny_checkpoints import VARIANTS, fairseq_settings, fairseq_state, hidden_states, network

WAVEFORMS, LENGTHS = 0.3 * torch.randn(2, 4_000), torch.tensor([4_000, 4_000])


@torch.no_grad()
def _assert_equal(model: SpeechModel, reference: nn.Module) -> None:
    frames = model.features(WAVEFORMS, LENGTHS)
    for layer, expected in zip(model.layer_names, hidden_states(reference, WAVEFORMS), strict=True):
        torch.testing.assert_close(frames.values[layer], expected, atol=1e-5, rtol=1e-5)


def _write(path: Path, **content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("variant", VARIANTS)
def test_pretrained_wav2vec2_keeps_its_heads(variant: str, tmp_path: Path) -> None:
    reference = network("Wav2Vec2ForPreTraining", variant)
    cfg = {"task": {"normalize": False}, "model": fairseq_settings(reference), "criterion": {"_name": "wav2vec"}}
    model = load(_write(tmp_path / "w.pt", cfg=cfg, args=None, model=fairseq_state(reference), last_optimizer_state={}))
    assert isinstance(model, Wav2Vec2)
    assert not model.settings.standardize
    _assert_equal(model, reference)
    latents = torch.randn(1, 5, 24)
    torch.testing.assert_close(model.quantizer(latents, 1.0).values, reference.quantizer(latents)[0])


def test_what_is_not_said_follows_the_family(tmp_path: Path) -> None:
    for variant, standardize, gradient in (("base", False, 0.1), ("large", True, 1.0)):
        reference = network("Wav2Vec2ForPreTraining", variant)
        path = _write(tmp_path / "w.pt", cfg={"model": fairseq_settings(reference)}, model=fairseq_state(reference))
        settings = load(path).settings
        assert (settings.standardize, settings.feature_gradient, settings.layer_drop) == (standardize, gradient, 0.05)
        assert load(path, standardize=not standardize).settings.standardize != standardize


def test_hubert_keeps_its_heads(tmp_path: Path) -> None:
    reference = network("HubertModel")
    heads = {"final_proj.weight": torch.randn(20, 32), "final_proj.bias": torch.randn(20), "label_embs_concat": torch.randn(11, 20)}
    cfg = {"model": {**fairseq_settings(reference), "_name": "hubert"}}
    model = load(_write(tmp_path / "h.pt", cfg=cfg, model=fairseq_state(reference) | heads))
    assert isinstance(model, HuBERT)
    assert (model.settings.classes, model.settings.target_size) == (11, 20)
    assert torch.equal(model.label_vectors, heads["label_embs_concat"])
    _assert_equal(model, reference)


@pytest.mark.parametrize("variant", VARIANTS)
def test_wavlm_of_unilm_knows_distances(variant: str, tmp_path: Path) -> None:
    reference = network("WavLMModel", variant)
    settings = {key: value for key, value in fairseq_settings(reference).items() if key != "_name"}
    cfg = {**settings, "normalize": False, "relative_position_embedding": True, "num_buckets": 320, "max_distance": 11}
    model = load(_write(tmp_path / "WavLM.pt", cfg=cfg, model=fairseq_state(reference)))
    assert isinstance(model, EncoderOnly)
    assert (model.settings.family, model.settings.buckets, model.settings.farthest) == ("wavlm", 16, 11)
    _assert_equal(model, reference)


def test_wavlm_with_heads_can_be_trained_further(tmp_path: Path) -> None:
    reference = network("WavLMModel")
    heads = {"final_proj.weight": torch.randn(20, 32), "final_proj.bias": torch.randn(20), "label_embs_concat": torch.randn(11, 20)}
    cfg = fairseq_settings(reference) | {"max_distance": 11}
    model = load(_write(tmp_path / "w.pt", cfg=cfg, model=fairseq_state(reference) | heads))
    assert isinstance(model, WavLM)
    assert (model.settings.classes, model.settings.target_size, model.settings.buckets) == (11, 20, 16)
    _assert_equal(model, reference)


@pytest.mark.parametrize("zipped", [True, False])
def test_old_settings_are_objects(zipped: bool, tmp_path: Path) -> None:  # noqa: FBT001
    reference = network("Wav2Vec2ForPreTraining")
    settings = {k: v for k, v in fairseq_settings(reference).items() if k != "_name"}
    args = argparse.Namespace(arch="wav2vec2", normalize=False, data="/nowhere", **settings)
    torch.save({"args": args, "model": fairseq_state(reference)}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    _assert_equal(load(tmp_path / "w.pt"), reference)


def test_fine_tuned_it_encodes_but_cannot_be_trained(tmp_path: Path) -> None:
    reference = network("Wav2Vec2Model")
    state = {f"w2v_encoder.w2v_model.{name}": tensor for name, tensor in fairseq_state(reference).items()}
    state |= {"w2v_encoder.proj.weight": torch.randn(32, 32), "w2v_encoder.proj.bias": torch.randn(32)}
    inner = {"task": {"normalize": False}, "model": fairseq_settings(reference)}
    cfg = {"task": {"normalize": False}, "model": {"_name": "wav2vec_ctc", "dropout": 0.5, "w2v_args": inner, "w2v_path": "/nowhere"}}
    model = load(_write(tmp_path / "ctc.pt", cfg=cfg, model=state))
    assert isinstance(model, EncoderOnly)
    assert (model.settings.fine_tuned, model.settings.dropout) == (True, 0.0)
    _assert_equal(model, reference)
    with pytest.raises(UserError, match="a fine-tuned checkpoint"):
        model(Batch(("a", "b"), WAVEFORMS, LENGTHS), 0)


@pytest.fixture
def omegaconf(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], object]:
    """Make classes of omegaconf's names, built as its own are: what they pickle is what its own pickle."""
    made: dict[str, Any] = {}
    for module, names in {"dictconfig": ("DictConfig",), "nodes": ("AnyNode",), "base": ("ContainerMetadata", "Metadata")}.items():
        home = types.ModuleType(f"omegaconf.{module}")
        for name in names:
            made[name] = type(name, (), {"__module__": home.__name__})
            setattr(home, name, made[name])
        monkeypatch.setitem(sys.modules, home.__name__, home)
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))

    def container(value: object, parent: object = None) -> object:
        node = made["DictConfig" if isinstance(value, dict) else "AnyNode"]()
        node._parent = parent
        node._metadata = made["ContainerMetadata" if isinstance(value, dict) else "Metadata"]()
        node._metadata.__dict__.update(ref_type=Any, object_type=dict, optional=True, flags=None)
        if isinstance(value, dict):
            node._content = {key: container(inner, node) for key, inner in value.items()}
        else:
            node._val = value
        return node

    return container


def test_settings_of_omegaconf_are_read_as_data(
    omegaconf: Callable[[object], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = network("Wav2Vec2ForPreTraining", "large")
    path = _write(
        tmp_path / "w.pt",
        cfg=omegaconf({"task": {"normalize": False}, "model": fairseq_settings(reference)}),
        model=fairseq_state(reference),
    )
    for module in ("omegaconf", "omegaconf.dictconfig", "omegaconf.nodes", "omegaconf.base"):
        monkeypatch.delitem(sys.modules, module)
    _assert_equal(load(path), reference)


class _Stranger:
    """Would do what it likes, if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("unpickled",))


class _Unknown:
    pass


def test_unknown_classes_are_refused_by_name(tmp_path: Path) -> None:
    for stranger, name in ((_Unknown(), "_Unknown"), (_Stranger(), "sys.exit")):
        refused = pytest.raises(UserError, match=rf"of the class \S*{name}.*reads data only")
        path = _write(tmp_path / "w.pt", model={}, cfg={}, task=stranger)
        with refused:
            load(path)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(_Stranger(), protocol=2))
    with refused:
        load(tmp_path / "raw.pt")


def test_what_is_no_checkpoint_is_explained(tmp_path: Path) -> None:
    reference = network("Wav2Vec2ForPreTraining")
    state, settings = fairseq_state(reference), {"model": fairseq_settings(reference)}
    cases: dict[str, dict[str, object]] = {
        r"no checkpoint of fairseq.*\['weights'\]": {"weights": state},
        "does not say its settings": {"model": state},
        r"lacks encoder\.layers\.1\.fc2\.bias": {"model": {n: t for n, t in state.items() if "1.fc2.bias" not in n}, "cfg": settings},
        r"holds decoder\.weight": {"model": state | {"decoder.weight": torch.ones(1)}, "cfg": settings},
        r"expected a list of \(channels": {"model": state, "cfg": {"model": settings["model"] | {"conv_feature_layers": "exit(1)"}}},
    }
    for message, content in cases.items():
        with pytest.raises(UserError, match=message):
            load(_write(tmp_path / "w.pt", **content))
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds a list"):
        load(tmp_path / "w.pt")
    whole = _write(tmp_path / "w.pt", model=state, cfg=settings).read_bytes()
    (tmp_path / "w.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "w.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "nowhere.pt")


def test_settings_of_the_pretrained_network_count_more() -> None:
    assert flat({"dropout": 0.5, "w2v_args": {"model": {"dropout": 0.1}, "seed": 3}}) == {"dropout": 0.1, "seed": 3}
    assert flat(None) == {}
