"""Of a language model of text the body is taken over whole: it computes what it did, at once or step by step."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from foresay.building import build, describe
from foresay.contracts import CausalBody
from foresay.errors import UserError
from foresay.fingerprint import of_model
from foresay.hub.causal_lm import HubBody, HubBodySettings
from foresay.loading import load, load_extractor
from reference.tiny_causal_lms import FAMILIES, PLACES, write_tiny

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_body_is_that_of_the_whole(family: str, tmp_path: Path) -> None:
    whole = write_tiny(family, tmp_path)
    body = load(f"hf:{tmp_path}")
    assert isinstance(body, HubBody)
    assert isinstance(body, CausalBody)
    embeddings = whole.get_input_embeddings()
    assert (body.size, body.blocks, body.longest) == (embeddings.embedding_dim, 2, PLACES)
    assert body.tied == (whole.get_output_embeddings().weight is embeddings.weight)
    ids = torch.arange(12).view(2, 6)
    expected = whole(input_ids=ids, output_hidden_states=True).hidden_states
    states = body.states(embeddings(ids))
    assert len(states) == len(expected) == 3
    for found, state in zip(states, expected, strict=True):
        torch.testing.assert_close(found, state, atol=1e-6, rtol=0)
    theirs = {name: t for name, t in whole.base_model.state_dict().items() if t.data_ptr() != embeddings.weight.data_ptr()}
    ours = body.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_it_reads_on_as_at_once(family: str, tmp_path: Path) -> None:
    """Three texts of unequal lengths that end together, then two of them, one twice, by two symbols and by one."""
    write_tiny(family, tmp_path)
    body = load(f"hf:{tmp_path}")
    vectors = torch.randn(3, 9, body.size)
    lengths = [6, 4, 1]
    padded = torch.stack([torch.cat([torch.full((6 - n, body.size), 9.0), row[:n]]) for row, n in zip(vectors, lengths, strict=True)])
    real = torch.arange(6) >= 6 - torch.tensor(lengths)[:, None]
    expected = [body.states(row[None])[-1][0] for row in vectors]
    found, past = body.read(padded, real)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, 6 - length :], expected[row][:length], atol=1e-5, rtol=1e-5)
    rows = torch.tensor([2, 0, 2])
    past, real = body.rows_of(past, rows), real[rows]
    for begin, end in ((0, 2), (2, 3)):
        new = torch.stack([vectors[row, lengths[row] + begin : lengths[row] + end] for row in rows.tolist()])
        real = torch.cat([real, torch.ones(3, end - begin, dtype=torch.bool)], dim=1)
        found, past = body.read(new, real, past)
        for place, row in enumerate(rows.tolist()):
            torch.testing.assert_close(found[place], expected[row][lengths[row] + begin : lengths[row] + end], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_as_a_part_it_is_built_again_without_its_folder(tmp_path: Path) -> None:
    write_tiny("llama", tmp_path)
    body = load(f"hf:{tmp_path}")
    copy = build(describe(body)).eval()
    copy.load_state_dict(body.state_dict())
    vectors = torch.randn(1, 5, 16)
    assert torch.equal(copy.states(vectors)[-1], body.states(vectors)[-1])
    assert of_model(copy) == of_model(body)
    assert str(tmp_path) not in body.settings.config


@torch.no_grad()
def test_it_is_read_and_built_in_single_precision(tmp_path: Path) -> None:
    whole = write_tiny("llama", tmp_path)
    whole.to(torch.bfloat16).save_pretrained(tmp_path)
    body = load(f"hf:{tmp_path}")
    for one in (body, build(describe(body))):
        assert {parameter.dtype for parameter in one.parameters()} == {torch.float32}


def test_more_than_it_can_read_is_refused(tmp_path: Path) -> None:
    write_tiny("gpt2", tmp_path)
    body = load(f"hf:{tmp_path}")
    real = torch.ones(1, PLACES + 1, dtype=torch.bool)
    body.states(torch.zeros(1, PLACES, 16))
    body.read(torch.zeros(1, PLACES + 1, 16), real & (torch.arange(PLACES + 1) > 0))
    for use in (lambda: body.states(torch.zeros(1, PLACES + 1, 16)), lambda: body.read(torch.zeros(1, PLACES + 1, 16), real)):
        with pytest.raises(UserError, match=f"a gpt2 of this configuration reads {PLACES} symbols at most, and these are {PLACES + 1}"):
            use()


def test_what_reads_both_ways_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    transformers.BertLMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is no causal language model"):
        load(f"hf:{tmp_path}")


def test_what_is_lost_is_not_made_up(tmp_path: Path) -> None:
    write_tiny("llama", tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    kept = {name: tensor for name, tensor in tensors.items() if "1.mlp.up_proj" not in name}
    safetensors.torch.save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"it lacks model\.layers\.1\.mlp\.up_proj\.weight"):
        load(f"hf:{tmp_path}")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cannot be loaded \(.*\): is it a folder with config.json and weights"):
        load(f"hf:{tmp_path}")


def test_code_that_comes_along_is_not_run_even_where_it_is_trusted(tmp_path: Path) -> None:
    write_tiny("llama", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    brought = {"AutoConfig": "code_of_mine.MyConfig", "AutoModel": "code_of_mine.MyModel"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "mine", "auto_map": brought}))
    (tmp_path / "code_of_mine.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'it-ran')!r}).touch()\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        load(f"hf:{tmp_path}", trust=True)
    assert not (tmp_path / "it-ran").exists()


def test_it_is_a_part_and_nothing_to_encode_with(tmp_path: Path) -> None:
    write_tiny("llama", tmp_path)
    with pytest.raises(UserError, match="is a HubBody, which gives no features"):
        load_extractor(f"hf:{tmp_path}")
    with pytest.raises(UserError, match="cannot build a network of the kind 'nonesuch'"):
        HubBody(HubBodySettings('{"model_type": "nonesuch"}'))
    with pytest.raises(UserError, match="leave out standardize"):
        load(f"hf:{tmp_path}", standardize=True)
