"""The adapter gives transformers' own hidden states, whatever stands beside a clip in its batch."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from foresay.building import build, describe
from foresay.contracts import FeatureExtractor
from foresay.errors import UserError
from foresay.fingerprint import of_model
from foresay.hub.huggingface import HuggingFaceModel, HuggingFaceSettings
from foresay.loading import load

transformers = pytest.importorskip("transformers")

FAMILIES = ["UniSpeech", "UniSpeechSat"]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        do_stable_layer_norm=True,
    )
    getattr(transformers, f"{request.param}Model")(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 16_000}))
    return tmp_path


@torch.no_grad()
def test_layers_are_transformers_own(folder: Path) -> None:
    model = load(f"hf:{folder}")
    assert isinstance(model, HuggingFaceModel)
    assert isinstance(model, FeatureExtractor)
    assert model.layer_names == ("L0", "L1", "L2")
    assert (model.receptive_field, model.first_center, model.sample_rate) == (400, 200, 16_000)
    waveforms, lengths = 0.1 * torch.randn(3, 8_000), torch.tensor([8_000, 5_000, 300])
    frames = model.features(waveforms, lengths)
    assert frames.lengths["L1"].tolist() == model.frame_count(lengths, "L1").tolist() == [24, 15, 0]
    assert frames.frame_rate["L2"] == 50
    clip = waveforms[1, :5_000]
    outputs = model.network(((clip - clip.mean()) / clip.std(correction=0))[None], output_hidden_states=True)
    hidden = [*outputs.hidden_states[:-1], outputs.last_hidden_state]
    for number, layer in enumerate(model.layer_names):
        torch.testing.assert_close(frames.values[layer][1, :15], hidden[number][0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_as_a_part_it_is_built_again_without_its_folder(folder: Path) -> None:
    model = load(f"hf:{folder}")
    copy = build(describe(model)).eval()
    copy.load_state_dict(model.state_dict())
    waveforms, lengths = 0.1 * torch.randn(2, 4_000), torch.tensor([4_000, 3_000])
    torch.testing.assert_close(copy.features(waveforms, lengths).values["L2"], model.features(waveforms, lengths).values["L2"])
    assert of_model(copy) == of_model(model)
    with pytest.raises(UserError, match="cannot build a network of the kind 'nonesuch'"):
        HuggingFaceModel(HuggingFaceSettings('{"model_type": "nonesuch", "conv_kernel": [10]}'))


@torch.no_grad()
def test_a_network_whose_code_comes_with_its_weights_is_adapted_where_it_is_trusted(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path_factory.mktemp("modules")
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(modules)
    config = json.loads((folder / "config.json").read_text())
    (base,) = config["architectures"]
    brought = {"AutoConfig": "code_of_mine.MyConfig", "AutoModel": "code_of_mine.MyModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": brought}))
    (folder / "code_of_mine.py").write_text(
        f"import transformers\nclass MyConfig(transformers.{base.removesuffix('Model')}Config):\n    model_type = 'mine'\n"
        f"class MyModel(transformers.{base}):\n    config_class = MyConfig\n"
    )
    with pytest.raises(UserError, match="custom code"):
        load(f"hf:{folder}")
    model = load(f"hf:{folder}", trust=True)
    assert type(model.network).__name__ == "MyModel"
    assert model.features(torch.zeros(1, 4_000), torch.tensor([4_000])).values["L2"].isfinite().all()


def test_what_is_lost_is_not_made_up(folder: Path) -> None:
    weights = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    lost = next(name for name in tensors if "pos_conv_embed" in name and "bias" in name)
    safetensors.torch.save_file({name: t for name, t in tensors.items() if name != lost}, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks encoder\.pos_conv_embed\.conv\.bias"):
        load(f"hf:{folder}")


def test_settings_of_others_networks_stay(folder: Path) -> None:
    with pytest.raises(UserError, match="leave out padding_in_norm"):
        load(f"hf:{folder}", padding_in_norm=True)


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_had_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        load(f"hf:{tmp_path}")
    transformers.BertModel(
        transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    ).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a bert, which does not encode waveforms"):
        load(f"hf:{tmp_path}")
