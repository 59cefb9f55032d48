"""A run that begins with another model's weights: the same features before the first update, and nothing taken or left in silence."""

import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from foresay.building import build, describe
from foresay.cli import main
from foresay.contracts import SpeechModel
from foresay.errors import UserError
from foresay.loading import load
from foresay.runs import Run
from foresay.settings import assignment, find_class, merge, settings_class, to_table
from foresay.training.recipe import read_recipe
from foresay.training.trainer import described
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.warm_start import WarmStart, read_recipe_from
from reference.tiny_run import write_run
from reference.two_processes import SMALL, write_corpus

CPC = {
    "channels": 32,
    "context_size": 32,
    "context_layers": 1,
    "negative_group": 2,
    "negative_count": 16,
    "predictions": 12,
    "predictor": "linear",
}
SECOND = torch.sin(torch.arange(16_000) / 7.0)[None]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def _features(model: SpeechModel) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return dict(model.eval().features(SECOND, torch.tensor([16_000])).values)


def _as(source: SpeechModel, model: str) -> dict[str, object]:
    """Give another model the settings that both have."""
    own = {f.name for f in fields(settings_class(find_class("foresay.models", model, SpeechModel)))}
    return {"name": model, **{name: value for name, value in to_table(source.settings).items() if name in own}}


def _assert_same_features(model: SpeechModel, source: SpeechModel) -> None:
    expected, found = _features(source), _features(model)
    assert found.keys() == expected.keys()
    for layer, values in expected.items():
        torch.testing.assert_close(found[layer], values, atol=1e-6, rtol=1e-5)


def test_a_run_goes_on_from_another_ones_features_and_says_what_it_took(tmp_path: Path) -> None:
    source = write_run(tmp_path / "source", "cpc", **CPC)
    model = build({"name": "acpc", **CPC, "predictions": 8, "matched": 12})
    untouched = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    origin = WarmStart(str(tmp_path / "source"), renew=("predictor",)).into(model)
    _assert_same_features(model, source)
    heads = {name for name in untouched if name.startswith("predictor.")}
    assert set(origin.new) == heads | {name for name in untouched if name not in source.state_dict()}
    assert set(origin.dropped) == set(source.state_dict()) - (set(untouched) - heads)
    assert origin.taken == len(untouched) - len(origin.new)
    for name in heads:  # what starts anew is as it was drawn
        assert torch.equal(model.state_dict()[name], untouched[name])
    for name in set(untouched) - set(origin.new):
        assert torch.equal(model.state_dict()[name], source.state_dict()[name])


def test_a_tensor_of_another_shape_is_refused_with_the_settings_that_mend_it(tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **CPC)
    table = {"name": "cpc", **CPC, "channels": 64, "predictions": 4}
    with pytest.raises(UserError, match=r"does not fit the recipe: encoder.*there, .* here; and \d+ more") as refused:
        WarmStart(str(tmp_path / "source")).into(build(table))
    advice = shlex.split(str(refused.value).partition("settings: ")[2])
    for change in advice[1::2]:
        table = merge({"model": table}, assignment(change))["model"]
    origin = WarmStart(str(tmp_path / "source")).into(build(table))
    assert (origin.new, origin.dropped) == ((), ())


def test_weights_that_fit_but_give_other_features_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from reference.tiny_checkpoints import network, write_folder  # noqa: PLC0415 - skips without transformers

    source = load(f"hf:{write_folder(network('HubertModel', 'large'), tmp_path, standardize=True)}")
    with pytest.raises(UserError, match=r"does not give its features \(layer L0 differs.*--set 'model.standardize=true'$"):
        WarmStart(f"hf:{tmp_path}").into(build({**_as(source, "hubert"), "standardize": False}))


@pytest.mark.parametrize(
    "kind, recipe",
    [("HubertModel", "hubert"), ("WavLMModel", "wavlm"), ("Wav2Vec2ForPreTraining", "wav2vec2"), ("Wav2Vec2ForCTC", "hubert")],
)
@pytest.mark.parametrize("variant", ["base", "large"])
@pytest.mark.parametrize("file", [False, True])
def test_a_released_checkpoint_goes_on_as_the_recipes_model(kind: str, recipe: str, variant: str, tmp_path: Path, *, file: bool) -> None:
    pytest.importorskip("transformers")
    from reference import tiny_checkpoints  # noqa: PLC0415 - skips without transformers

    theirs = tiny_checkpoints.network(kind, variant)
    if file and kind == "Wav2Vec2ForCTC":
        pytest.skip("the heads of fine-tuning have other names there, which tests/hub covers")
    if file:
        name = str(tmp_path / "checkpoint.pt")
        torch.save(
            {"args": None, "cfg": {"model": tiny_checkpoints.fairseq_settings(theirs)}, "model": tiny_checkpoints.fairseq_state(theirs)},
            name,
        )
    else:
        name = f"hf:{tiny_checkpoints.write_folder(theirs, tmp_path, standardize=variant == 'large')}"
        name += "#encoder" if kind.endswith("CTC") else ""
    source = load(name)
    model = build(_as(source, recipe))
    origin = WarmStart(name).into(model)
    _assert_same_features(model, source)
    heads = {"final_projection", "label_vectors"} if kind != "Wav2Vec2ForPreTraining" else set()
    assert {new.partition(".")[0] for new in origin.new} - {"mask_vector"} == heads
    assert origin.dropped == ()


def test_what_is_no_model_of_ours_is_refused() -> None:
    model = build({"name": "cpc", **CPC})
    with pytest.raises(UserError, match="--from takes a model that Foresay can train.*mfcc is an MFCC"):
        WarmStart("mfcc").into(model)


def test_another_family_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **CPC)
    with pytest.raises(UserError, match=r"is a CPC, and the recipe's HuBERT shares no tensor with it"):
        WarmStart(str(tmp_path / "source")).into(read_recipe("hubert-tiny").build_model())


def test_a_name_to_renew_that_there_is_not_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **CPC)
    with pytest.raises(UserError, match='--renew predictr: .*did you mean "predictor"'):
        WarmStart(str(tmp_path / "source"), ("predictr",)).into(build({"name": "cpc", **CPC}))


def test_heads_of_another_shape_may_start_anew(tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **CPC)
    with pytest.raises(UserError, match=r"'model.predictions=12', or let these heads start anew: --renew predictor$"):
        WarmStart(str(tmp_path / "source")).into(build({"name": "cpc", **CPC, "predictions": 4}))
    with pytest.raises(UserError, match=r"'model.channels=32'.*'model.kernels=\[10, 8, 4, 4, 4\]'") as refused:
        WarmStart(str(tmp_path / "source")).into(read_recipe("wav2vec-tiny").build_model())
    assert "--renew" not in str(refused.value)  # an encoder that starts anew would be no warm start


def test_another_kind_of_context_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **CPC, context="gru")
    with pytest.raises(UserError, match=r"""(does not fit|does not give its features).*'model.context="gru"'"""):
        WarmStart(str(tmp_path / "source")).into(build({"name": "cpc", **CPC, "context": "rnn"}))


@pytest.mark.parametrize("setting", ["standardize=true", "padding_in_norm=true", "heads=4"])
def test_settings_that_show_in_no_weight_and_only_in_some_audio_are_refused(setting: str, tmp_path: Path) -> None:
    """Standardized or not, noise of mean 0 and variance 1 is the same; padding is in no clip that is alone."""
    small = ("trainer.steps=1", "model.size=32", "model.inner=64", "model.layers=2", "model.heads=2")
    recipe = read_recipe("hubert-tiny", (*small, f"model.{setting}"))
    model = recipe.build_model()
    Run(tmp_path).save(1, model.state_dict(), {}, described("hubert-tiny", 1, describe(model)), keep=1)
    with pytest.raises(UserError, match=f"does not give its features .*--set 'model.{setting}'$"):
        WarmStart(str(tmp_path)).into(read_recipe("hubert-tiny", small).build_model())
    WarmStart(str(tmp_path)).into(read_recipe("hubert-tiny", (*small, f"model.{setting}")).build_model())


HUBERT = ("trainer.steps=1", "model.size=32", "model.inner=64", "model.layers=2", "model.heads=2")


def test_how_the_waveform_is_prepared_comes_with_the_weights(tmp_path: Path) -> None:
    model = read_recipe("hubert-tiny", (*HUBERT, "model.standardize=true")).build_model()
    source, run = Run(tmp_path / "source"), Run(tmp_path / "run")
    source.save(1, model.state_dict(), {}, described("hubert-tiny", 1, describe(model)), keep=1)
    start = WarmStart(str(source.folder))
    assert not read_recipe_from(None, "hubert-tiny", HUBERT, run).model_settings.standardize
    recipe = read_recipe_from(start, "hubert-tiny", HUBERT, run)
    assert recipe.model_settings.standardize
    assert recipe.table()["model"] == {**read_recipe("hubert-tiny", HUBERT).table()["model"], "standardize": True}
    start.into(recipe.build_model())  # the same features
    said = read_recipe_from(start, "hubert-tiny", (*HUBERT, "model.standardize=false"), run)
    assert not said.model_settings.standardize
    with pytest.raises(UserError, match="--set 'model.standardize=true'$"):
        start.into(said.build_model())
    run.begin(recipe.toml(), {})
    source.folder.rename(tmp_path / "gone")
    assert read_recipe_from(start, "hubert-tiny", HUBERT, run).model_settings.standardize  # the run itself knows
    write_run(tmp_path / "cpc", "cpc", **CPC)  # which prepares nothing
    for other in (str(tmp_path / "cpc"), "mfcc"):
        assert read_recipe_from(WarmStart(other), "hubert-tiny", HUBERT, Run(tmp_path / "new")) == read_recipe("hubert-tiny", HUBERT)


def test_a_run_and_a_rehearsal_take_it_from_there(corpus: Path, tmp_path: Path) -> None:
    small = (*HUBERT, "model.target_size=16", "data.seconds=4")
    model = read_recipe("wav2vec2-tiny", (*small, "model.standardize=true")).build_model()
    Run(tmp_path / "source").save(1, model.state_dict(), {}, described("wav2vec2-tiny", 1, describe(model)), keep=1)
    start = WarmStart(str(tmp_path / "source"))
    rehearse("pretrain", "wav2vec2-tiny", corpus, tmp_path / "run", start=start, overrides=small, updates=1)
    pretrain("wav2vec2-tiny", corpus, tmp_path / "run", start=start, overrides=small)
    assert load(tmp_path / "run").settings.standardize
    pretrain("wav2vec2-tiny", corpus, tmp_path / "run", start=start, overrides=(*small, "trainer.save_every=1"))


def _started(corpus: Path, run: Path, source: str, steps: int) -> dict[str, torch.Tensor]:
    pretrain("cpc", corpus, run, start=WarmStart(source), overrides=(*SMALL, "trainer.save_every=2", f"trainer.steps={steps}"))
    return load(run).state_dict()


def test_a_run_keeps_its_origin_and_resumes_exactly(corpus: Path, tmp_path: Path) -> None:
    source = str(tmp_path / "source")
    pretrain("cpc", corpus, source, overrides=(*SMALL, "trainer.steps=1"))
    whole = _started(corpus, tmp_path / "whole", source, 4)
    _started(corpus, tmp_path / "parts", source, 2)
    parts = _started(corpus, tmp_path / "parts", source, 4)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    kept = tomllib.loads((tmp_path / "parts" / "origin.toml").read_text())
    assert (kept["model"], kept["new"], kept["dropped"], kept["taken"]) == (source, [], [], len(whole))
    assert "starts from" in (tmp_path / "parts" / "metrics.jsonl").read_text()
    untrained = tmp_path / "untrained"
    pretrain("cpc", corpus, untrained, overrides=(*SMALL, "trainer.steps=4"))
    assert any(not torch.equal(whole[name], tensor) for name, tensor in load(untrained).state_dict().items())


def test_a_run_goes_on_only_as_it_was_begun(corpus: Path, tmp_path: Path) -> None:
    one, other, run = (str(tmp_path / name) for name in ("one", "other", "run"))
    pretrain("cpc", corpus, one, overrides=(*SMALL, "trainer.steps=1"))
    pretrain("cpc", corpus, other, overrides=(*SMALL, "trainer.steps=1", "trainer.seed=1"))
    with pytest.raises(UserError, match="was begun without --from"):
        _started(corpus, Path(one), other, 2)
    _started(corpus, Path(run), one, 2)
    with pytest.raises(UserError, match=r"was begun from .*one \(weights .*\), and .*other has other weights now"):
        _started(corpus, Path(run), other, 4)
    Path(one).rename(tmp_path / "moved")
    _started(corpus, Path(run), str(tmp_path / "moved"), 3)  # the same weights under another name
    _started(corpus, Path(run), one, 4)  # gone, but nothing is read of it any more
    pretrain("cpc", corpus, run, overrides=(*SMALL, "trainer.steps=5"))


def test_a_run_killed_before_its_first_checkpoint_asks_for_its_origin(corpus: Path, tmp_path: Path) -> None:
    source, run = str(tmp_path / "source"), Run(tmp_path / "run")
    pretrain("cpc", corpus, source, overrides=(*SMALL, "trainer.steps=1"))
    _started(corpus, run.folder, source, 2)
    for checkpoint in run.checkpoints():
        checkpoint.folder.rename(tmp_path / checkpoint.folder.name)
    with pytest.raises(UserError, match=r"was begun from .*source and has saved no checkpoint yet: give --from again"):
        pretrain("cpc", corpus, run.folder, overrides=(*SMALL, "trainer.save_every=2", "trainer.steps=2"))


def test_a_rehearsal_starts_there_too(corpus: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "source", "cpc", **{**CPC, "channels": 16})
    with pytest.raises(UserError, match="does not fit the recipe"):
        rehearse("pretrain", "cpc", corpus, tmp_path / "run", start=WarmStart(str(tmp_path / "source")), overrides=SMALL)


def test_the_command_takes_a_model(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrain("cpc", corpus, tmp_path / "source", overrides=(*SMALL, "trainer.steps=1"))
    sets = [argument for change in (*SMALL, "trainer.steps=1") for argument in ("--set", change)]
    command = ["pretrain", "cpc", "--corpus", str(corpus), *sets]
    assert main([*command, "--run", str(tmp_path / "run"), "--from", str(tmp_path / "source"), "--renew", "predictor"]) == 0
    assert re.search(
        r"starts from .*source: \d+ tensors taken; new: predictor \(\d+\); dropped: predictor \(\d+\)",
        (tmp_path / "run" / "metrics.jsonl").read_text(),
    )
    assert main([*command, "--run", str(tmp_path / "another"), "--renew", "predictor"]) == 2
    assert "there is no --from" in capsys.readouterr().err
    assert not (tmp_path / "another").exists()
