"""The catalog names what the files hold."""

import pytest

from foresay import contracts
from foresay.building import find_model
from foresay.errors import UserError
from foresay.hub.wav2vec2 import FAMILIES
from foresay.settings import list_names
from foresay.training.recipe import read_recipe
from foresay.workflows.catalog import (
    CONTRACTS,
    list_baselines,
    list_families,
    list_models,
    list_models_by_contract,
    list_recipes,
    recipe_text,
)


def test_every_model_has_a_line() -> None:
    models = list_models()
    assert list(models) == list_names("foresay.models")
    assert models["acpc"].startswith("Aligned Contrastive Predictive Coding")
    assert all(models.values())


def test_models_stand_under_the_contracts_that_their_classes_fulfil() -> None:
    read = list_models_by_contract()
    for contract in CONTRACTS:
        fulfil = [name for name in list_models() if issubclass(find_model(name), getattr(contracts, contract))]
        assert list(read.get(contract, {})) == fulfil
        assert (contract in read) == bool(fulfil)
    assert set(list_models()) == {name for found in read.values() for name in found}, "a model of no contract: add it to CONTRACTS"
    assert "multimodal-cpc" in read["SpeechModel"]
    assert list(read["ImageExtractor"]) == ["multimodal-cpc"]
    assert list(read["Tokenizer"]) == ["hmm-states", "kmeans"]


def test_families_are_those_that_are_read() -> None:
    assert list(list_families()) == [*FAMILIES, "others"]
    assert all(list_families().values())


def test_every_baseline_has_a_line() -> None:
    assert {"mfcc", "logmel"} <= set(list_baselines())
    assert all(list_baselines().values())


def test_every_recipe_says_what_it_is_and_can_be_read() -> None:
    recipes = list_recipes()
    assert {"cpc", "acpc", "cpc-linear", "demo-cpc", "demo-acpc"} <= set(recipes)
    for name, line in recipes.items():
        assert line, f"{name} begins with no comment"
        assert read_recipe(name).name == name


def test_a_recipe_is_shown_as_it_is_written() -> None:
    assert recipe_text("acpc").startswith(f"# {list_recipes()['acpc']}\n")


def test_a_retired_recipe_says_where_it_went() -> None:
    with pytest.raises(UserError, match=r"acpc with --set model\.predictions=10 --set model\.matched=16"):
        recipe_text("acpc-k10-m16")
    with pytest.raises(UserError, match=r"--set model\.predictions=6"):
        read_recipe("acpc-k6")


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match='did you mean "acpc"'):
        recipe_text("apc")
