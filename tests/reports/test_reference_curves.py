"""A reference curve is what a run logged, shorter, and is drawn behind runs of its recipe."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foresay.reports import reference_curves
from foresay.reports.curves import training_section
from foresay.reports.record import Record, read_records
from foresay.reports.reference_curves import MOST_LINES, differences, reference_of
from foresay.training.built_in import built_in
from reference.example_run import RECIPE, write_run
from reference.html_checker import Checker

ROOT = Path(__file__).parents[2]


def run(folder: Path, recipe: str = "demo-acpc", **changes: object) -> Path:
    write_run(folder, recipe={**RECIPE, "data": {**RECIPE["data"], **changes}}, results=False, example=False)
    (folder / "model").mkdir()
    (folder / "model" / "model.toml").write_text(f'recipe = "{recipe}"\n')
    (folder / "data.toml").write_text('[train]\nmanifest = "elsewhere/secret/speech/train.jsonl"\nhours = 1.5\n')
    return folder


@pytest.fixture
def curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record a curve with the script, and let it be the package's."""
    folder = tmp_path / "curves" / "acpc"
    command = [sys.executable, str(ROOT / "benchmarks" / "record_curve.py"), str(run(tmp_path / "ours")), "--out"]
    subprocess.run([*command, str(folder / "demo-acpc.jsonl")], check=True, cwd=tmp_path)
    monkeypatch.setattr(reference_curves, "RECIPES", folder.parent)
    return folder


def test_a_recorded_curve_is_what_was_logged_but_for_the_machine(curves: Path, tmp_path: Path) -> None:
    (record,) = read_records([run(tmp_path / "theirs")])
    reference = reference_of(record)
    assert reference is not None
    for kind in ("train", "valid"):
        for mine, theirs in zip(record.curve(kind, "loss"), reference.curve(kind, "loss"), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4)
    assert not {"audio_rate", "data_wait"} & set(reference.scalars)
    assert reference.name.startswith("demo-acpc on speech (1.5 h), Foresay ")
    assert "secret" not in (curves / "demo-acpc.jsonl").read_text()
    assert differences(record, reference) == []


def test_long_curves_are_averaged(tmp_path: Path) -> None:
    lines = tuple({"kind": "train", "step": 10 * n, "loss": float(n)} for n in range(1, 1001))
    about, *kept = reference_curves.curve_lines(Record("long", tmp_path, {}, {}, lines, (), (), recipe_name="demo-acpc"))
    assert about["recipe"] == "demo-acpc"
    assert len(kept) == MOST_LINES
    assert kept[0] == {"kind": "train", "step": 50, "loss": 3.0}
    assert kept[-1]["step"] == 10_000


@pytest.mark.usefixtures("curves")
def test_it_is_drawn_behind_runs_of_its_recipe_and_says_what_differs(tmp_path: Path) -> None:
    records = read_records([run(tmp_path / "same"), run(tmp_path / "other", batch=16), run(tmp_path / "unlike", recipe="demo-cpc")])
    page = Checker(training_section(records)).text
    assert "Gray: our own run of demo-acpc on speech (1.5 h), Foresay" in page
    assert "with the settings of same." in page
    assert "which differs from other in data.batch." in page
    assert page.count("Gray:") == 2


@pytest.mark.usefixtures("curves")
def test_it_is_drawn_behind_runs_of_its_recipe_alone(tmp_path: Path) -> None:
    runs = (run(tmp_path / "same"), run(tmp_path / "unlike", recipe="demo-cpc"))
    drawn, plain = (training_section(read_records([one])) for one in runs)
    assert drawn.count("stroke-opacity: 0.45") > plain.count("stroke-opacity: 0.45") == 0


def test_a_run_without_a_name_has_none(tmp_path: Path) -> None:
    (record,) = read_records([write_run(tmp_path / "run", results=False, example=False)])
    assert reference_of(record) is None


def test_an_unfinished_run_becomes_no_reference(tmp_path: Path) -> None:
    folder = run(tmp_path / "young")
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= 20))
    command = [sys.executable, str(ROOT / "benchmarks" / "record_curve.py"), str(folder)]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is unfinished: 20 of 40 updates" in done.stderr


def test_the_curves_of_the_package_are_those_of_its_recipes() -> None:
    files = sorted((ROOT / "src" / "foresay" / "recipes").glob("*/*.jsonl"))
    assert files
    for file in files:
        about = json.loads(file.read_text().splitlines()[0])
        assert about["recipe"] == file.stem
        assert file.stem in built_in()
        assert file.stat().st_size < 100_000
