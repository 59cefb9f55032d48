"""Recipes: what is resolved, and what a mistake in one says."""

from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.settings import read_toml
from foresay.training.built_in import built_in
from foresay.training.recipe import differences, read_recipe, resolve


@pytest.mark.parametrize("name", sorted(built_in()))
def test_a_resolved_recipe_reads_back_as_itself(name: str) -> None:
    recipe = read_recipe(name)
    again = resolve(read_toml(recipe.toml(), name), name)
    assert again == recipe
    assert differences(again, recipe) == []


def test_the_papers_numbers() -> None:
    cpc, acpc = read_recipe("cpc"), read_recipe("acpc")
    assert (cpc.model, cpc.model_settings.predictions) == ("cpc", 12)
    assert (acpc.model, acpc.model_settings.predictions, acpc.model_settings.matched) == ("acpc", 8, 12)
    for recipe in (cpc, acpc):
        assert (recipe.data.batch, recipe.data.window, recipe.model_settings.negative_group) == (64, 20_480, 8)
        assert (recipe.optimizer.lr, recipe.optimizer.eps, recipe.trainer.epochs) == (2e-4, 1e-8, 50)


def test_overrides_and_the_rival_of_steps() -> None:
    recipe = read_recipe("acpc", ["trainer.steps=30", "data.batch=8", "optimizer.lr=1", "model.alignment=hard"])
    assert (recipe.trainer.steps, recipe.trainer.epochs, recipe.data.batch) == (30, None, 8)
    assert (recipe.optimizer.lr, recipe.model_settings.alignment) == (1.0, "hard")


def test_a_file_with_a_base_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "small.toml"\n[trainer]\nseed = 7\n')
    (tmp_path / "small.toml").write_text('base = "acpc"\n[model]\npredictions = 4\n[trainer]\nsteps = 5\n')
    recipe = read_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.model, recipe.model_settings.predictions) == ("mine", "acpc", 4)
    assert (recipe.trainer.steps, recipe.trainer.epochs, recipe.trainer.seed) == (5, None, 7)


@pytest.mark.parametrize(
    "override, message",
    [
        ("trainer.stepz=3", r'unknown setting trainer.stepz = 3: did you mean "steps"'),
        ("trainr.steps=3", r'unknown section \'trainr\': did you mean "trainer"'),
        ("trainer.steps=many", r"trainer.steps must be of type int, not str"),
        ("trainer.seed=1.5", r"trainer.seed must be of type int, not float"),
        ("trainer.compile=1", r"trainer.compile must be of type bool, not int"),
        ("data.sampler=same-speakr", r'data.sampler = \'same-speakr\': did you mean "same-speaker"'),
        ("model.kernels=3", r"model.kernels must be a list"),
        ("trainer.keep=0", r"trainer.keep must be at least 1"),
        ("steps", r"--set takes section.key=value"),
        ("model=acbc", r'no model \'acbc\': did you mean "acpc"'),
        ("trainer=3", r"\[trainer\] must be a table"),
        ("base=cpc", r"--set base=cpc: a base is what a recipe starts from"),
        ("trainer.steps=1\ntrainer.keep=2", r"trainer.steps must be of type int, not str"),
        (f"trainer.steps={'1' * 5000}", r"trainer.steps must be of type int, not str"),
        (f"model.kernels={'[' * 5000}", r"model.kernels must be a list"),
    ],
)
def test_mistakes_are_explained(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe("acpc", [override])


def test_files_that_are_not_recipes(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[trainer\n")
    (tmp_path / "loop.toml").write_text(f'base = "{tmp_path}/loop.toml"\n')
    (tmp_path / "nameless.toml").write_text("[trainer]\nsteps = 3\n")
    (tmp_path / "both.toml").write_text('model = "cpc"\n[trainer]\nsteps = 3\nepochs = 3\n')
    for name, message in {
        "broken": "is not valid TOML",
        "loop": "each other's base",
        "nameless": "names no model",
        "both": "exactly one of trainer.steps and trainer.epochs",
    }.items():
        with pytest.raises(UserError, match=message):
            read_recipe(tmp_path / f"{name}.toml")
    with pytest.raises(UserError, match="'acp' is neither a file nor a built-in recipe: did you mean \"acpc\""):
        read_recipe("acp")


def test_settings_that_do_not_fit_together() -> None:
    with pytest.raises(UserError, match="Transformer heads need contexts and latents of one size"):
        read_recipe("acpc", ["model.context_size=128"]).build_model()


def test_what_may_change_when_a_run_goes_on() -> None:
    recipe = read_recipe("acpc", ["optimizer.warmup=10"])
    assert differences(recipe, read_recipe("acpc", ["optimizer.warmup=10", "trainer.epochs=90", "trainer.keep=9"])) == []
    assert differences(recipe, read_recipe("acpc", ["optimizer.warmup=10", "data.batch=8"])) == ["data.batch: 64 -> 8"]
    # Where the rate depends on the length, the length shapes the learning.
    assert differences(read_recipe("acpc"), read_recipe("acpc", ["trainer.epochs=90"])) == ["trainer.epochs: 50 -> 90"]


@pytest.mark.parametrize(
    "name, depends", [("w2v-bert-xl", True), ("vq-wav2vec-tiny", True), ("wav2vec-tiny", False), ("hubert-base", False)]
)
def test_the_length_of_a_run_stays_where_a_schedule_of_the_model_is_a_share_of_it(name: str, depends: bool) -> None:  # noqa: FBT001
    constant = ["optimizer.schedule=noam", "optimizer.warmup=10", "optimizer.hold=0"]
    one, other = (read_recipe(name, [*constant, f"trainer.steps={steps}"]) for steps in (100, 1000))
    assert differences(one, other) == (["trainer.steps: 100 -> 1000"] if depends else [])
    one, other = (read_recipe(name, [*constant, f"trainer.epochs={epochs}"]) for epochs in (1, 2))
    assert bool(differences(one, other)) == depends
