"""A model, a measure, a corpus to import, one to make, and a recipe are added by files alone; no other file changes.

What is added stands in `tests/reference/additions`, one of each, where the tree would have it.
"""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.cli import main
from foresay.contracts import SpeechModel
from foresay.corpora.generated import find_maker
from foresay.corpora.reader import find_reader
from foresay.evaluation.measure import describe_measures, find_measure, list_measures
from foresay.settings import find_class
from foresay.training import built_in
from foresay.training.recipe import read_recipe
from foresay.workflows.catalog import list_models, list_recipes
from house.tree import ROOT, repository_files

ADDITIONS = ROOT / "tests" / "reference" / "additions"
PACKAGES = ("models.representation", "evaluation.geometry", "corpora.readers", "corpora.made")
FINDING = (
    "house",
    "models/test_battery.py",
    "models/representation/test_latent_regression.py",
    "workflows/test_catalog.py",
    "cli/test_catalog.py",
    "cli/test_corpus.py",
    "corpora/test_reader.py",
    "corpora/test_generated.py",
    "evaluation/test_measure.py",
    "evaluation/test_metrics_are_declared.py",
    "training/test_recipe.py",
    "training/test_senseless_settings.py",
    "training/test_waits.py",
    "test_loading.py",
    "test_settings.py",
)
"""Tests that look at whatever the tree holds."""


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the packages have the folders of the additions as well as their own."""
    for package in PACKAGES:
        module = importlib.import_module(f"foresay.{package}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(ADDITIONS / "src" / "foresay" / package.replace(".", "/"))])
    recipes = (ADDITIONS / "src" / "foresay" / "recipes").rglob("*.toml")
    known = built_in.built_in() | {path.stem: path.read_text(encoding="utf-8") for path in recipes}
    for user in ("training.recipe", "workflows.catalog"):
        monkeypatch.setattr(f"foresay.{user}.built_in", lambda: known)


@pytest.mark.usefixtures("added")
def test_the_file_is_the_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_models()["latent-regression"].startswith("Latent regression: predict")
    assert find_class("foresay.models", "latent-regression", SpeechModel).__name__ == "LatentRegression"
    assert list_recipes()["latent-regression-tiny"] == "A small latent regression, for the test of additions"
    assert type(read_recipe("latent-regression-tiny").build_model()).__name__ == "LatentRegression"
    assert describe_measures()["loudness"].startswith("How long are feature vectors")
    assert "loudness:plain" in list_measures()
    assert find_measure("loudness").protocol.name == "plain"
    assert find_reader("numbered")().language == "en"
    soundfile.write(tmp_path / "eva-1.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    assert main(["corpus", "import", "numbered", str(tmp_path), str(tmp_path / "imported"), "--language", "de"]) == 0
    assert find_maker("clicks")().seconds == 2
    assert main(["corpus", "make", "clicks", str(tmp_path / "clicks"), "--seconds", "3"]) == 0
    assert "2 items      6.0 s" in capsys.readouterr().out
    for words, shown in {
        ("models",): "latent-regression",
        ("corpus", "make", "-h"): "clicks",
        ("corpus", "import", "-h"): "numbered",
    }.items():
        assert main([*words]) == 0
        assert f"  {shown} " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_in_a_copy_of_the_tree_everything_still_passes(tmp_path: Path) -> None:
    """Linter, types, batteries and house tests, and the pages."""
    for path in repository_files():
        if not path.is_relative_to(ADDITIONS):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.copytree(ADDITIONS, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    programs = Path(sys.executable).parent
    tests = [f"tests/{name}" for name in FINDING]
    for words in (
        [programs / "ruff", "check", "--no-cache", "."],
        [programs / "mypy"],
        [programs / "lint-imports", "--no-logo", "--no-cache"],
        [programs / "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests],
        [programs / "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path / "site"],
    ):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run(list(map(str, words)), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout[-4000:], done.stderr[-4000:])
    for page, shown in {"models": "latent-regression", "recipes": "latent-regression-tiny", "evaluation": "loudness"}.items():
        assert f"<code>{shown}</code>" in (tmp_path / "site" / page / "index.html").read_text(encoding="utf-8")
    assert "LatentRegressionSettings" in (tmp_path / "site" / "reference" / "models" / "index.html").read_text(encoding="utf-8")
