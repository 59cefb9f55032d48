"""Models made of models: parts are loaded, fitted or built; a run goes on, and loads, without their sources."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from foresay import trust
from foresay.building import build, describe, untrained_copy
from foresay.contracts import Batch
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits
from foresay.runs import Run
from foresay.settings import read_toml_file
from foresay.training.devices import Process
from foresay.training.recipe import read_recipe
from foresay.trust import trusting
from foresay.workflows import parts
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.train import run_recipe
from foresay.workflows.warm_start import WarmStart
from reference.levels import write_corpus

CPC = (
    "model.channels=8",
    "model.context_size=8",
    "model.negative_group=2",
    "model.negative_count=4",
    "model.predictions=3",
    "model.predictor=linear",
)
LOOP = ("data.batch=2", "data.window=4800", "trainer.steps=2")
RECIPE = """\
[model]
name = "reference.toy_head"
layer = "c"

[data]
batch = 2
window = 4800

[trainer]
steps = 4
save_every = 2

[parts]
encoder = "{}"
"""


@pytest.fixture(autouse=True)
def _trusted() -> None:
    with trusting():
        yield


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "train.jsonl", 6, seed=0).path


@pytest.fixture
def encoder(tmp_path: Path, corpus: Path) -> Path:
    pretrain("cpc", corpus, tmp_path / "encoder", overrides=(*CPC, *LOOP))
    return tmp_path / "encoder"


@pytest.fixture
def recipe(tmp_path: Path, encoder: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(RECIPE.format(encoder))
    return path


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load(run).state_dict()


def test_a_run_holds_its_parts_and_loads_without_their_source(tmp_path: Path, recipe: Path, encoder: Path, corpus: Path) -> None:
    source = load(encoder)
    run_recipe("train", recipe, corpus, tmp_path / "run", overrides=["model.freeze=true"])
    shutil.rmtree(encoder)
    loaded = load(tmp_path / "run")
    for name, weights in source.state_dict().items():
        torch.testing.assert_close(loaded.encoder.state_dict()[name], weights, rtol=0, atol=0)
    table = read_toml_file(tmp_path / "run" / "model" / "model.toml")["model"]
    assert table == {"name": "reference.toy_head", "layer": "c", "freeze": True, "encoder": describe(source)}
    about = read_toml_file(tmp_path / "run" / "parts.toml")["encoder"]
    assert (about["from"], about["model"]) == (str(encoder), describe(source))


def test_a_run_goes_on_bit_for_bit_without_the_source(tmp_path: Path, recipe: Path, encoder: Path, corpus: Path) -> None:
    run_recipe("train", recipe, corpus, tmp_path / "whole")
    run_recipe("train", recipe, corpus, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-000004")
    shutil.rmtree(encoder)
    run_recipe("train", recipe, corpus, tmp_path / "cut")
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    for name, weights in whole.items():
        torch.testing.assert_close(cut[name], weights, rtol=0, atol=0)


def test_a_source_that_was_trained_on_before_the_first_checkpoint_is_refused(
    tmp_path: Path, recipe: Path, encoder: Path, corpus: Path
) -> None:
    run_recipe("train", recipe, corpus, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.rmtree(tmp_path / "run" / "model")
    shutil.rmtree(encoder)
    pretrain("cpc", corpus, encoder, overrides=(*CPC, *LOOP, "trainer.seed=1"))
    with pytest.raises(UserError, match="had other weights"):
        run_recipe("train", recipe, corpus, tmp_path / "run")


def test_another_part_is_another_recipe(tmp_path: Path, recipe: Path, corpus: Path) -> None:
    run_recipe("train", recipe, corpus, tmp_path / "run")
    with pytest.raises(UserError, match=r"begun with another recipe .*parts\.encoder"):
        run_recipe("train", recipe, corpus, tmp_path / "run", overrides=["parts.encoder=mfcc", "model.layer=mfcc"])


def test_a_part_of_a_table_is_built_untrained_by_the_seed(tmp_path: Path, corpus: Path) -> None:
    path = tmp_path / "scratch.toml"
    path.write_text(
        RECIPE.format("").replace('encoder = ""', 'encoder = {name = "cpc", channels = 8, context_size = 8, predictor = "linear"}')
    )
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        run_recipe("train", path, corpus, tmp_path / name, overrides=[f"trainer.seed={seed}"])
    one, same, other = (weights_of(tmp_path / name)["encoder.context.network.weight_ih_l0"] for name in ("one", "same", "other"))
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one, other)
    shown = read_recipe(path)
    assert read_recipe_again(shown.toml(), tmp_path).table() == shown.table()
    assert shown.parts["encoder"]["predictions"] == 12  # defaults too


def read_recipe_again(text: str, folder: Path):  # noqa: ANN201
    (folder / "again.toml").write_text(text)
    return read_recipe(folder / "again.toml")


def test_an_untrained_part_has_the_settings_of_a_model_and_weights_of_the_seed(
    tmp_path: Path, recipe: Path, encoder: Path, corpus: Path
) -> None:
    made = {}
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        overrides = (f'parts.encoder="untrained:{encoder}"', f"trainer.seed={seed}", "trainer.steps=1")
        run_recipe("train", recipe, corpus, tmp_path / name, overrides=overrides)
        run_recipe("train", recipe, corpus, tmp_path / name, overrides=overrides)  # a second time nothing is refused
        made[name] = load(tmp_path / name).encoder
    assert made["first"].settings == load(encoder).settings
    weights = {name: model.state_dict()["encoder.convolutions.0.weight"] for name, model in made.items()}
    assert torch.equal(weights["first"], weights["second"])
    assert not torch.equal(weights["first"], weights["third"])
    assert not torch.allclose(weights["first"], load(encoder).state_dict()["encoder.convolutions.0.weight"], atol=1e-2)


@pytest.mark.parametrize("name", ["untrained:", ""])
def test_a_part_without_a_name_is_refused(tmp_path: Path, recipe: Path, corpus: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"parts.encoder must be a MODEL .* untrained:MODEL or the table of a model, not '{name}'"):
        run_recipe("train", recipe, corpus, tmp_path / "run", overrides=(f'parts.encoder="{name}"',))


def test_parts_of_parts_are_fitted_first_and_kept(tmp_path: Path, encoder: Path, corpus: Path) -> None:
    """An estimator within a recipe is a run of its own below the run."""
    tiny = ["model.channels=16", "model.size=16", "model.inner=32", "model.layers=1", "model.heads=2", "model.target_size=8"]
    tiny += ["model.classes=5", "model.position_kernel=8", "model.position_groups=2", "data.seconds=6", "trainer.steps=1"]
    labels = [f"parts.labels.encoder={encoder}", "parts.labels.layer=c", "parts.labels.clusters=5"]
    pretrain("hubert-tiny", corpus, tmp_path / "run", overrides=[*tiny, *labels])
    units = load(tmp_path / "run" / "parts" / "labels")
    assert describe(units) == {
        "name": "kmeans", "layer": "c", "clusters": 5, "hours": 100.0, "frames": 1_000_000, "moved": True,
        "encoder": describe(load(encoder)),
    }  # fmt: skip
    run_recipe("train", "kmeans", corpus, tmp_path / "units", overrides=[f"parts.encoder={encoder}", "model.layer=c", "model.clusters=5"])
    assert load(tmp_path / "units").fingerprint == units.fingerprint
    pretrain("hubert-tiny", corpus, tmp_path / "other", overrides=[*tiny, f"parts.labels={tmp_path / 'units'}"])
    for name, weights in weights_of(tmp_path / "run").items():
        torch.testing.assert_close(weights_of(tmp_path / "other")[name], weights, rtol=0, atol=0)


def test_a_missing_part_says_what_it_must_be(tmp_path: Path, recipe: Path, corpus: Path) -> None:
    recipe.write_text(recipe.read_text().partition("[parts]")[0])
    with pytest.raises(UserError, match=r"`encoder`: --set parts.encoder=MODEL, a FeatureExtractor \(from waveforms to frames"):
        run_recipe("train", recipe, corpus, tmp_path / "run")


def test_a_run_without_its_record_is_not_guessed(tmp_path: Path, recipe: Path, corpus: Path) -> None:
    run_recipe("train", recipe, corpus, tmp_path / "run")
    (tmp_path / "run" / "parts.toml").unlink()
    with pytest.raises(UserError, match=r"parts.toml does not say what the part encoder"):
        run_recipe("train", recipe, corpus, tmp_path / "run", overrides=["trainer.steps=6"])


def test_a_rehearsal_loads_parts_and_keeps_nothing(tmp_path: Path, recipe: Path, corpus: Path) -> None:
    rehearse("train", recipe, corpus, tmp_path / "run", updates=1)
    assert not (tmp_path / "run").exists()


def test_warm_starts_are_for_encoders(tmp_path: Path, recipe: Path, encoder: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match=r"name it in \[parts\] instead"):
        run_recipe("train", recipe, corpus, tmp_path / "run", start=WarmStart(str(encoder)))


def test_an_untrained_copy_has_untrained_parts(recipe: Path, encoder: Path) -> None:
    model = read_recipe(recipe).build_model({"encoder": load(encoder)})
    copy = untrained_copy(model)
    assert describe(copy) == describe(model) == describe(build(describe(model)))
    assert not torch.equal(copy.encoder.context.network.weight_ih_l0, model.encoder.context.network.weight_ih_l0)
    batch = Batch(("a",), torch.zeros(1, 16_000), torch.tensor([16_000]))
    assert copy(batch, 0).total().isfinite()


@pytest.mark.parametrize(
    "recipe, override, message",
    [
        ("hubert", "trainer.steps=1", r"learns labels, and the recipe says not whose"),
        ("cpc", "parts.labels=mfcc", r"cpc learns no labels: leave out"),
        ("reference.toy_reader", "trainer.steps=1", r"learns from transcripts, .* --set data.sampler=transcripts"),
    ],
)
def test_what_a_model_needs_is_checked_before_the_first_step(
    recipe: str, override: str, message: str, tmp_path: Path, corpus: Path
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'model = "{recipe}"\n[trainer]\nsteps = 1\n[data]\nbatch = 8\nwindow = 4800\n')
    with pytest.raises(UserError, match=message):
        run_recipe("train" if "toy" in recipe else "pretrain", path, corpus, tmp_path / "run", overrides=[override])
    assert not (tmp_path / "run").exists()


def test_a_model_learns_from_transcripts(tmp_path: Path, corpus: Path) -> None:
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    for line in lines:
        if "id" in line:
            line["text"] = "x" * round(10 * line["duration"])  # ten letters a second
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "recipe.toml"
    data = 'sampler = "transcripts"\nseconds = 8\nshortest = 0.5\nlongest = 8'
    path.write_text(f'model = "reference.toy_reader"\n[trainer]\nsteps = 200\n[data]\n{data}\n[optimizer]\nlr = 0.1\n')
    run_recipe("train", path, corpus, tmp_path / "run", valid=corpus)
    assert load(tmp_path / "run").slope.item() == pytest.approx(10, abs=0.5)


UNITS = """\
model = "reference.toy_units"
[data]
batch = 2
window = 4800
[trainer]
steps = 2
[parts.units]
name = "kmeans"
encoder = "mfcc"
layer = "mfcc"
clusters = 5
"""


@pytest.fixture
def units_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy-units.toml"
    path.write_text(UNITS)
    return path


def test_a_run_stopped_after_its_part_was_fitted_goes_on_bit_for_bit(tmp_path: Path, units_recipe: Path, corpus: Path) -> None:
    run_recipe("train", units_recipe, corpus, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "parts", tmp_path / "stopped" / "parts")
    run_recipe("train", units_recipe, corpus, tmp_path / "stopped")
    stopped = weights_of(tmp_path / "stopped")
    for name, weights in weights_of(tmp_path / "whole").items():
        torch.testing.assert_close(stopped[name], weights, rtol=0, atol=0)


def test_a_part_that_was_fitted_otherwise_is_refused(tmp_path: Path, units_recipe: Path, corpus: Path) -> None:
    run_recipe("train", units_recipe, corpus, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "parts", tmp_path / "stopped" / "parts")
    with pytest.raises(UserError, match=r"begun with another recipe \(model\.clusters: 5 -> 7\)"):
        run_recipe("train", units_recipe, corpus, tmp_path / "stopped", overrides=["parts.units.clusters=7"])
    other = write_corpus(tmp_path / "other.jsonl", 7, seed=1).path
    with pytest.raises(UserError, match="begun on another corpus"):
        run_recipe("train", units_recipe, other, tmp_path / "stopped")


def test_what_is_fitted_for_a_part_has_a_folder_of_its_own(tmp_path: Path, corpus: Path) -> None:
    inner = '{name = "reference.toy_units", units = {name = "kmeans", encoder = "mfcc", layer = "mfcc", clusters = 5}}'
    path = tmp_path / "deep.toml"
    path.write_text(f'model = "hubert"\n[trainer]\nsteps = 1\n[data]\nsampler = "utterances"\nseconds = 12\n[parts]\nlabels = {inner}\n')
    with pytest.raises(UserError, match=r"must be a tokenizer"):
        pretrain(
            path,
            corpus,
            tmp_path / "run",
            overrides=["model.layers=1", "model.size=16", "model.inner=16", "model.heads=2", "model.channels=8"],
        )
    assert (tmp_path / "run" / "parts" / "labels.units" / "model").is_dir()


def test_labels_are_made_on_the_device_of_the_run(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever that is: here one that computes nothing."""
    run_recipe("train", "kmeans", corpus, tmp_path / "units", overrides=["model.clusters=5"])
    given: list[tuple[str, str]] = []

    def make_labels(tokenizer: KMeansUnits, *_: object, device: str) -> None:
        given.append((device, tokenizer.kmeans.centers.device.type))
        raise UserError(*["enough"])

    monkeypatch.setattr(parts, "make_labels", make_labels)
    recipe = read_recipe("hubert-tiny", [f"parts.labels={tmp_path / 'units'}"])
    with pytest.raises(UserError, match="enough"):
        _ = parts.Parts(recipe, {"train": Manifest.open(corpus)}, Run(tmp_path / "run"), Process(torch.device("meta")), None).labels
    assert given == [("meta", "meta")]


@pytest.mark.parametrize("edited", ['encoder = "cpc"\n', "encoder = 3\n", 'encoder = {model = "cpc"}\n', "encoder = {\n"])
def test_an_edited_record_is_a_mistake_of_the_user(edited: str, tmp_path: Path, recipe: Path, corpus: Path) -> None:
    run_recipe("train", recipe, corpus, tmp_path / "run")
    (tmp_path / "run" / "parts.toml").write_text(edited)
    with pytest.raises(UserError, match=r"parts\.toml"):
        run_recipe("train", recipe, corpus, tmp_path / "run")


def test_a_record_names_no_code_of_others(tmp_path: Path, corpus: Path) -> None:
    path = tmp_path / "scratch.toml"
    path.write_text(RECIPE.format("mfcc").replace('"c"', '"mfcc"'))
    run_recipe("train", path, corpus, tmp_path / "run")
    (tmp_path / "run" / "parts.toml").write_text('[encoder.model]\nname = "someones.module"\n')
    described = parts.Parts(read_recipe(path), {}, Run(tmp_path / "run"), Process(torch.device("cpu")), None)
    token = trust._trusted.set(False)
    try:
        with pytest.raises(UserError, match="the model folder names the module someones.module"):
            _ = described.of_model
    finally:
        trust._trusted.reset(token)


def test_an_estimator_is_given_nothing_that_it_leaves_aside(tmp_path: Path, encoder: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match="leave out --from"):
        run_recipe("train", "kmeans", corpus, tmp_path / "run", start=WarmStart(str(encoder)))
    with pytest.raises(UserError, match="leave out --valid"):
        run_recipe("train", "kmeans", corpus, tmp_path / "run", valid=corpus)
    assert not (tmp_path / "run").exists()


def test_a_part_is_stated_once(tmp_path: Path, encoder: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match=r"encoder both in \[model\] and in \[parts\]"):
        run_recipe("train", "kmeans", corpus, tmp_path / "run", overrides=[f"model.encoder={encoder}"])
    with pytest.raises(UserError, match="parts.encoder must be a MODEL"):
        run_recipe("train", "kmeans", corpus, tmp_path / "run", overrides=["parts.encoder="])


def test_a_part_of_another_kind_is_refused_before_it_is_fitted(tmp_path: Path, corpus: Path) -> None:
    units = 'encoder = {name = "kmeans", encoder = "mfcc", layer = "mfcc", clusters = 5}'
    for place, of in ((RECIPE.format("").replace('encoder = ""', units), "ToyHead"), (_nested(units), "KMeansUnits")):
        path = tmp_path / "recipe.toml"
        path.write_text(place)
        with pytest.raises(UserError, match=rf"parts.encoder of {of} must be a FeatureExtractor .* this is a KMeansUnits"):
            run_recipe("train" if of == "ToyHead" else "pretrain", path, corpus, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def _nested(units: str) -> str:
    """A recipe whose labels are units of units."""
    return f'base = "hubert-tiny"\n[parts.labels]\nname = "kmeans"\nlayer = "mfcc"\nclusters = 5\n{units}\n'
