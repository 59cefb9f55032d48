"""`foresay models`, `foresay recipes` and `foresay doctor` print what there is."""

import subprocess
import sys

import pytest

from foresay import cli
from foresay.cli import doctor
from foresay.workflows.catalog import list_models, list_models_by_contract, list_recipes, recipe_text
from foresay.workflows.doctor import Diagnosis


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown and line in shown for name, line in list_models().items())
    titles = [line for line in shown.splitlines() if line.endswith(":")]
    assert titles[0] == "Models that learn features of audio (SpeechModel):"
    assert all(any(f"({contract}):" in title for title in titles) for contract in list_models_by_contract())
    baselines, families = (shown.partition(title)[2].partition("\n\n")[0] for title in titles[-2:])
    assert "  mfcc " in baselines
    assert "  wavlm " in families


def test_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list_recipes())
    assert cli.main(["recipes", "acpc"]) == 0
    assert capsys.readouterr().out == recipe_text("acpc")
    assert cli.main(["recipes", "no-such-recipe"]) == 2


@pytest.mark.parametrize("verb", ["models", "recipes"])
def test_lists_need_no_torch(verb: str) -> None:
    code = f"import sys, foresay.cli; assert foresay.cli.main(['{verb}']) == 0; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("verdict, code, last", [("ok", 0, "ready"), ("missing", 0, "ready"), ("broken", 1, "not usable yet: see ears")])
def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: str, code: int, last: str) -> None:
    finding = Diagnosis("self-test", "ears", "deaf", verdict, "wash them")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "doctor", lambda: [finding])
    assert cli.main(["doctor"]) == code
    shown = capsys.readouterr().out
    assert "-> wash them" in shown
    assert shown.splitlines()[-1].startswith(last)
