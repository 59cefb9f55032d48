"""What a file may name: nothing that would run somebody's code, unless the user says so."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.hub import huggingface
from foresay.loading import load
from foresay.settings import read_toml_file, write_toml
from foresay.training.recipe import read_recipe
from foresay.trust import trusting
from reference.tiny_run import write_run

MINE = "from foresay.models.representation.cpc import CPC, CPCSettings\nfrom pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
MODEL = "\n\nclass Mine(CPC):\n    def __init__(self, settings: CPCSettings) -> None:\n        super().__init__(settings)\n"


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder that somebody made, with a module in it, in the current folder, as a download would lie."""
    monkeypatch.chdir(tmp_path)
    package = f"theirs_{abs(hash(tmp_path))}"  # Python remembers what it imported
    write_run(tmp_path / package)
    folder = tmp_path / package / "model"
    (folder / "digests.toml").unlink()
    (tmp_path / package / "evil.py").write_text(MINE + MODEL)
    return tmp_path / package


def name(theirs: Path, **settings: object) -> Path:
    path = theirs / "model" / "model.toml"
    table = read_toml_file(path)
    table["model"] |= {key: value for key, value in settings.items() if value}
    path.write_text(write_toml(table))
    return theirs / "model"


def ran(theirs: Path) -> bool:
    return (theirs / "ran").exists()


@pytest.mark.parametrize("part", ["name", "context", "predictor", "encoder"])
def test_a_model_folder_names_no_module_of_somebodys(theirs: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(theirs.parent))
    module = f"{theirs.name}.evil"
    try:
        folder = name(theirs, **{part: module})
        with pytest.raises(UserError, match=rf"names the module {module}, which is not part of Foresay.*--trust|unknown setting"):
            load(folder)
        assert not ran(theirs)
    finally:
        sys.modules.pop(module, None)


def test_with_trust_it_does(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(theirs.parent))
    folder = name(theirs, name=f"{theirs.name}.evil")
    assert type(load(folder, trust=True)).__name__ == "Mine"
    assert ran(theirs)
    with pytest.raises(UserError, match="not part of Foresay"):
        load(folder)
    with trusting():
        load(folder)
    with trusting(trust=False), pytest.raises(UserError, match="not part of Foresay"):
        load(folder)


def test_a_recipe_names_modules_of_ones_own_but_none_that_only_the_current_folder_holds(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = theirs / "mine.toml"
    recipe.write_text(f'model = "{theirs.name}.evil"\n[trainer]\nsteps = 1\n')
    monkeypatch.syspath_prepend(str(theirs.parent))
    for entry in ("", str(theirs.parent)):
        monkeypatch.setattr(sys, "path", [entry, *sys.path[1:]])
        with pytest.raises(UserError, match="which is not part of Foresay and is found in the current folder"):
            read_recipe(recipe)
        assert main(["pretrain", str(recipe), "--show"]) == 2
        assert "--trust" in capsys.readouterr().err
    assert not ran(theirs)
    assert main(["pretrain", str(recipe), "--show", "--trust"]) == 0
    assert ran(theirs)
    elsewhere = theirs.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # now it is found by the path that the user set
    monkeypatch.setattr(sys, "path", [str(theirs.parent), *sys.path[1:]])
    assert read_recipe(recipe).build_model() is not None


def test_the_recipe_of_a_run_is_not_imported_to_be_compared(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (theirs / "recipe.toml").write_text(f'model = "{theirs.name}.evil"\n[trainer]\nsteps = 1\n')
    corpus = theirs / "corpus.jsonl"
    corpus.write_text("")
    assert main(["pretrain", "cpc", "--corpus", str(corpus), "--run", str(theirs)]) == 2
    assert not ran(theirs)
    assert capsys.readouterr().err


@pytest.mark.parametrize("bad", ["..", "a..b", ".evil", "a b", "", "x\0y", "os.path;1"])
def test_what_is_no_name_is_refused(theirs: Path, bad: str) -> None:
    table = read_toml_file(theirs / "model" / "model.toml")
    table["model"]["name"] = bad
    (theirs / "model" / "model.toml").write_text(write_toml(table))
    with pytest.raises(UserError):
        load(theirs / "model")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["extract", "evaluate", "export"])
def test_no_verb_runs_it(theirs: Path, verb: str) -> None:
    name(theirs, name=f"{theirs.name}.evil")
    (theirs.parent / "corpus.jsonl").write_text("")
    words = {
        "extract": [theirs.name, "corpus.jsonl", "out", "--layer", "c"],
        "evaluate": [theirs.name, "--corpus", "corpus.jsonl"],
        "export": [theirs.name, "out", "--to", "torch"],
    }[verb]
    done = subprocess.run([sys.executable, "-m", "foresay", verb, *words], check=False, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert not ran(theirs)


@pytest.mark.parametrize("trust", [False, True])
def test_transformers_is_given_the_answer_and_never_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: bool) -> None:  # noqa: FBT001
    transformers = pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil"}}))
    given: list[bool] = []

    def from_pretrained(_folder: Path, **options: bool) -> Callable[[], None]:
        given.append(options["trust_remote_code"])
        raise ValueError(*["stop"])

    monkeypatch.setattr(transformers, "AutoModel", SimpleNamespace(from_pretrained=from_pretrained))
    with pytest.raises(UserError, match="stop"), trusting(trust):
        huggingface.read_model(tmp_path)
    assert given == [trust]
