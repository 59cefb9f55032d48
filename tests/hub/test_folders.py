"""Other people's wav2vec 2.0, HuBERT and WavLM: encoded by our network as by transformers', there and back, or refused whole."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from foresay.building import build
from foresay.contracts import Batch, SpeechModel
from foresay.errors import UserError
from foresay.hub.encoder import EncoderOnly
from foresay.hub.folders import write_folder as write_ours
from foresay.hub.huggingface import HuggingFaceModel
from foresay.loading import load
from foresay.models.representation.wav2vec2 import Wav2Vec2
from foresay.settings import to_table
from reference.tiny_checkpoints import SMALL, VARIANTS, hidden_states, network, transformers, write_folder

LENGTHS = torch.tensor([6_000, 3_333, 4_800])
SAFE = "model.safetensors"


def _waveforms(lengths: Tensor = LENGTHS) -> Tensor:
    waveforms = 0.3 * torch.randn(len(lengths), int(lengths.max()))
    return waveforms * (torch.arange(waveforms.shape[1]) < lengths[:, None])


def _standardized(waveforms: Tensor, lengths: Tensor) -> Tensor:
    rows = torch.zeros_like(waveforms)
    for row, clip, length in zip(rows, waveforms, lengths.tolist(), strict=True):
        row[:length] = (clip[:length] - clip[:length].mean()) / clip[:length].std(correction=0)
    return rows


@torch.no_grad()
def _assert_equal(model: SpeechModel, reference: nn.Module, waveforms: Tensor, lengths: Tensor, prepared: Tensor, *, masked: bool) -> None:
    expected = hidden_states(reference, prepared, lengths if masked else None)
    frames = model.features(waveforms, lengths)
    assert len(expected) == len(model.layer_names)
    for layer, values in zip(model.layer_names, expected, strict=True):
        for row, count in enumerate(frames.lengths[layer].tolist()):
            torch.testing.assert_close(frames.values[layer][row, :count], values[row, :count], atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # in transformers' WavLM
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["Wav2Vec2Model", "Wav2Vec2ForPreTraining", "Wav2Vec2ForCTC", "HubertModel", "WavLMModel"])
def test_every_layer_is_transformers_own(kind: str, variant: str, tmp_path: Path) -> None:
    reference = network(kind, variant)
    standardize = "large" in variant
    name = f"hf:{write_folder(reference, tmp_path, standardize=standardize)}{'#encoder' if kind.endswith('CTC') else ''}"
    model = load(name)
    assert isinstance(model, Wav2Vec2 if kind == "Wav2Vec2ForPreTraining" else EncoderOnly)
    assert model.settings.standardize == standardize
    # of one length, not padded
    waveforms, lengths = _waveforms(torch.tensor([5_000, 5_000])), torch.tensor([5_000, 5_000])
    prepared = _standardized(waveforms, lengths) if standardize else waveforms
    _assert_equal(model, reference, waveforms, lengths, prepared, masked=False)
    # padded, as transformers does it
    faithful, waveforms = load(name, padding_in_norm=True), _waveforms()
    prepared = _standardized(waveforms, LENGTHS) if standardize else waveforms
    _assert_equal(faithful, reference, waveforms, LENGTHS, prepared, masked=True)


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["Wav2Vec2Model", "WavLMModel"])
def test_by_default_a_clip_is_encoded_as_if_alone(kind: str, variant: str, tmp_path: Path) -> None:
    model = load(f"hf:{write_folder(network(kind, variant), tmp_path)}")
    waveforms = _waveforms()
    together = model.features(waveforms, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model.features(waveforms[row : row + 1, :length], LENGTHS[row : row + 1])
        for layer in model.layer_names:
            count = alone.values[layer].shape[1]
            torch.testing.assert_close(together.values[layer][row, :count], alone.values[layer][0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["Wav2Vec2Model", "Wav2Vec2ForPreTraining", "HubertModel", "WavLMModel"])
def test_there_and_back_again(kind: str, variant: str, tmp_path: Path) -> None:
    model = load(f"hf:{write_folder(network(kind, variant), tmp_path / 'theirs')}")
    (tmp_path / "ours").mkdir()
    write_ours(model, tmp_path / "ours")
    theirs, found = getattr(transformers, kind).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(found[amiss] for amiss in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    again = load(f"hf:{tmp_path / 'ours'}")
    assert type(again) is type(model)
    assert again.settings == model.settings
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    lengths = torch.tensor([5_000])
    waveforms = _waveforms(lengths)
    _assert_equal(model, theirs.eval(), waveforms, lengths, waveforms, masked=False)
    if variant == next(iter(VARIANTS)):  # the class is found by the name of the kind alone
        automatic = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
        _assert_equal(model, automatic, waveforms, lengths, waveforms, masked=False)


@torch.no_grad()
def test_the_heads_are_the_same_heads(tmp_path: Path) -> None:
    reference = network("Wav2Vec2ForPreTraining")
    model = load(f"hf:{write_folder(reference, tmp_path)}")
    latents, contexts = torch.randn(2, 9, 24), torch.randn(2, 9, 32)
    quantized = model.quantizer(latents, 1.0)
    torch.testing.assert_close(quantized.values, reference.quantizer(latents)[0], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(model.target_projection(quantized.values), reference.project_q(quantized.values))
    torch.testing.assert_close(model.context_projection(contexts), reference.project_hid(contexts))
    assert model.settings.negative_count == reference.config.num_negatives


@pytest.mark.filterwarnings("ignore")
def test_ablations_hubert_and_wavlm_leave_their_heads_behind(tmp_path: Path) -> None:
    small = {"channels": 24, "size": 32, "layers": 1, "heads": 4, "inner": 48, "position_kernel": 16, "position_groups": 4}
    for name, settings in {
        "hubert": {"classes": 7},
        "wavlm": {"classes": 7, "buckets": 16, "farthest": 11},
        "wav2vec2": {"target_mlp": True, "codes": 4},
    }.items():
        model = build({"name": name, **small, **settings}).eval()
        folder = tmp_path / name
        folder.mkdir()
        write_ours(model, folder)
        lengths = torch.tensor([5_000])
        waveforms = _waveforms(lengths)
        _assert_equal(model, transformers.AutoModel.from_pretrained(folder).eval(), waveforms, lengths, waveforms, masked=False)
        assert isinstance(load(f"hf:{folder}"), EncoderOnly)


def test_both_spellings_of_weight_norm_and_pickled_weights(tmp_path: Path) -> None:
    reference = network("Wav2Vec2ForPreTraining")
    model = load(f"hf:{write_folder(reference, tmp_path)}")
    (tmp_path / SAFE).unlink()
    for g, v in (("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")):
        state = {
            name.replace("parametrizations.weight.original0", g).replace("parametrizations.weight.original1", v): tensor
            for name, tensor in reference.state_dict().items()
        }
        torch.save(state, tmp_path / "pytorch_model.bin")
        again = load(f"hf:{tmp_path}")
        assert torch.equal(again.position.gain, model.position.gain)
        assert torch.equal(again.position.direction, model.position.direction)


def test_shards_are_put_together(tmp_path: Path) -> None:
    reference = network("HubertModel")
    model = load(f"hf:{write_folder(reference, tmp_path / 'whole')}")
    reference.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    again = load(f"hf:{tmp_path / 'shards'}")
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_tensors_decide_not_flags(tmp_path: Path) -> None:
    write_folder(network("HubertModel", "large"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"conv_bias": False, "feat_extract_norm": "group", "hidden_size": 999}))
    settings = load(f"hf:{tmp_path}").settings
    assert (settings.convolution_bias, settings.norm, settings.size) == (True, "layer", 32)


@pytest.mark.parametrize(
    "lost",
    [
        "encoder.layers.1.attention.k_proj.weight",
        "encoder.layers.2.",
        "feature_extractor.conv_layers.4.",
        "feature_projection.layer_norm.bias",
        "parametrizations.weight.original0",
        "quantizer.weight_proj.bias",
        "project_hid.weight",
    ],
)
def test_a_lost_tensor_is_named(lost: str, tmp_path: Path) -> None:
    write_folder(network("Wav2Vec2ForPreTraining"), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / SAFE)
    kept = {name: tensor for name, tensor in tensors.items() if lost not in name}
    assert len(kept) < len(tensors)
    safetensors.torch.save_file(kept, tmp_path / SAFE)
    named = lost.replace("parametrizations.weight.original0", "weight_g").rstrip(".")
    with pytest.raises(UserError, match=f"it lacks [^;]*{named}.*Nothing was loaded"):
        load(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    "lost",
    ["layers.0.attention.rel_attn_embed.weight", "layers.1.attention.gru_rel_pos_const", "layers.2.attention.gru_rel_pos_linear.bias"],
)
def test_a_lost_distance_is_named(lost: str, tmp_path: Path) -> None:
    write_folder(network("WavLMModel"), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / SAFE)
    safetensors.torch.save_file({name: tensor for name, tensor in tensors.items() if lost not in name}, tmp_path / SAFE)
    with pytest.raises(UserError, match=f"{lost}.*Nothing was loaded"):
        load(f"hf:{tmp_path}")


def test_a_tensor_too_much_is_named(tmp_path: Path) -> None:
    write_folder(network("Wav2Vec2Model"), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / SAFE)
    safetensors.torch.save_file(tensors | {"encoder.layers.0.adapter.weight": torch.ones(2)}, tmp_path / SAFE)
    with pytest.raises(UserError, match=r"it holds encoder\.layers\.0\.adapter\.weight, for which"):
        load(f"hf:{tmp_path}")
    safetensors.torch.save_file(tensors | {"encoder.layer_norm.weight": torch.ones(31)}, tmp_path / SAFE)
    with pytest.raises(UserError, match=r"encoder\.layer_norm\.weight \[31\] \(not \[32\]\)"):
        load(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    "kind", ["Wav2Vec2ForCTC", "HubertForCTC", "Wav2Vec2ForSequenceClassification", "WavLMForXVector", "HubertModel", "WavLMModel"]
)
def test_without_heads_it_encodes_but_cannot_be_trained(kind: str, tmp_path: Path) -> None:
    model = load(f"hf:{write_folder(network(kind), tmp_path)}{'#encoder' if kind.endswith('CTC') else ''}")
    assert isinstance(model, SpeechModel)
    assert kind.lower().startswith(model.settings.family)
    kept = "a checkpoint without the heads" if kind.endswith("Model") else "a fine-tuned checkpoint"
    with pytest.raises(UserError, match=kept):
        model(Batch(("a",), _waveforms(), LENGTHS), 0)
    copy = build({"name": "foresay.hub.encoder", **to_table(model.settings)})
    assert copy.settings == model.settings


def test_a_missing_mask_vector_is_none(tmp_path: Path) -> None:
    write_folder(network("Wav2Vec2ForCTC"), tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / SAFE)
    del tensors["wav2vec2.masked_spec_embed"]
    safetensors.torch.save_file(tensors, tmp_path / SAFE)
    assert not load(f"hf:{tmp_path}#encoder").mask_vector.any()


def test_tensors_decide_how_many_distances_are_distinguished(tmp_path: Path) -> None:
    write_folder(network("WavLMModel"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_buckets": 320}))
    settings = load(f"hf:{tmp_path}").settings
    assert (settings.buckets, settings.farthest) == (16, 11)


def test_variants_that_are_not_ours_go_to_transformers(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2Config(**{**SMALL, "hidden_act": "relu"})
    write_folder(transformers.Wav2Vec2Model(config), tmp_path)
    assert isinstance(load(f"hf:{tmp_path}"), HuggingFaceModel)


def test_what_cannot_be_read_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(network("Wav2Vec2Model"), tmp_path)
    with pytest.raises(UserError, match="unknown setting .*padding_in_nrm"):
        load(f"hf:{tmp_path}", padding_in_nrm=True)
    content = (tmp_path / SAFE).read_bytes()
    (tmp_path / SAFE).write_bytes(content[:1000])
    with pytest.raises(UserError, match="cut off"):
        load(f"hf:{tmp_path}")
    (tmp_path / SAFE).unlink()
    with pytest.raises(UserError, match="neither model.safetensors nor pytorch_model.bin"):
        load(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json cannot be read"):
        load(f"hf:{tmp_path}")
    with pytest.raises(UserError, match="other people's checkpoints only"):
        load("mfcc", standardize=True)

    def absent(*_: object, **__: object) -> None:
        message = "no such repository"
        raise OSError(message)

    monkeypatch.setattr("huggingface_hub.snapshot_download", absent)
    with pytest.raises(UserError, match=r"hf:nobody/nothing cannot be loaded \(no such repository\)"):
        load("hf:nobody/nothing")


def test_names_of_the_hub_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fetched(name: str, allow_patterns: list[str]) -> str:
        assert name == "lab/model"
        asked.append(allow_patterns)
        return str(tmp_path)

    write_folder(network("HubertModel"), tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    assert isinstance(load("hf:lab/model"), EncoderOnly)
    assert len(asked) == 1
    assert "*.json" in asked[0]
