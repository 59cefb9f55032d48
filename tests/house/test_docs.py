"""The documentation is true: its links lead somewhere, its commands exist, its examples run."""

import contextlib
import dataclasses
import functools
import importlib.util
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import foresay
from foresay import cli
from foresay.building import find_model
from foresay.corpora.plans.windows import DataSettings
from foresay.hub.encoder import EncoderOnlySettings
from foresay.settings import list_names, modules, settings_class
from foresay.training.optimizers import OptimizerSettings
from foresay.training.recipe import TrainerSettings
from house.tree import ROOT, name

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"(?P<not_run>^<!-- not run: [^>]+ -->\n)?^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)
NEEDS_A_RUN = "runs/"


def _blocks(*kinds: str, run: bool = False) -> list[tuple[str, str]]:
    """Return the code blocks of some kinds, each with where it stands; to `run`, those without a `<!-- not run: why -->` above them."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["kind"] in kinds and not (run and match["not_run"]):
                line = text.count("\n", 0, match.start("kind")) + 1
                found.append((f"{name(page)}:{line}", match["text"]))
    return found


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as MkDocs and GitHub make them."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    kept = [re.sub(r"[^\w\s-]", "", match["title"].lower()).strip() for match in HEADING.finditer(text)]
    return {re.sub(r"[\s]+", "-", title) for title in kept}


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the `foresay …` commands of all shell blocks, each as its words."""
    for where, text in _blocks("sh", "bash", "shell", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["foresay"]:
                yield where, words[1:]


@functools.cache
def _help(*words: str) -> str:
    """Return what `foresay WORDS --help` prints."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return shown.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for match in LINK.finditer(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        place = page.parent / target if target else page
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            lost.append(match["target"])
    assert not lost


def test_every_page_has_its_place_in_the_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert not [page for page in pages if page not in contents]


@pytest.mark.parametrize("where, words", [pytest.param(*command, id=f"{command[0]} {' '.join(command[1])}") for command in _commands()])
def test_commands_exist(where: str, words: list[str]) -> None:
    verbs = cli.verbs()
    if words[0].startswith("-"):
        return
    assert words[0] in verbs, f"{where}: there is no verb {words[0]}"
    # `foresay corpus` has verbs of its own, and `make` and `import` have theirs.
    depth = 1
    while depth < len(words) and words[depth][0] != "-" and "--help" in _help(*words[:depth]).partition("usage: ")[2].partition("\n")[0]:
        depth += 1
    known = _help(*words[:depth])
    assert f"usage: foresay {' '.join(words[:depth])} " in known
    for word in words:
        if word.startswith("--") and word not in {"--help", "--debug"}:
            assert re.search(rf"{word.partition('=')[0]}\b", known), f"{where}: {' '.join(words[:depth])} has no option {word}"


@pytest.mark.parametrize("where, text", [pytest.param(*block, id=block[0]) for block in _blocks("python")])
def test_examples_are_python(where: str, text: str) -> None:
    compile(text, where, "exec")


@pytest.mark.parametrize(
    "where, text", [pytest.param(*block, id=block[0]) for block in _blocks("python", run=True) if NEEDS_A_RUN not in block[1]]
)
def test_examples_run(where: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(text, where, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own examples


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the tiny demo once, and return the folder in which it ran."""
    place = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, "-m", "foresay", "demo", "--run", "runs", "--scale", "tiny"], cwd=place, check=True)
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "where, text", [pytest.param(*block, id=block[0]) for block in _blocks("python", run=True) if NEEDS_A_RUN in block[1]]
)
def test_examples_run_after_the_demo(where: str, text: str, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(text, where, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own examples


def test_the_layers_on_the_page_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    checked = [{name.strip(" ()") for name in layer.split("|")} for layer in reversed(contracts[0]["layers"])]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert [{name.strip() for name in re.split(r" {2,}", line)[0].split("|")} for line in page.splitlines()] == checked


API_PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
ENTRY = re.compile(r"^::: (?P<module>[\w.]+)\n(?P<whole>    options:\n      show_submodules: true\n)?", re.MULTILINE)


def test_the_reference_holds_the_tree() -> None:
    """Every public file of a package that is extended by files, and every home of a name of `foresay`, has its entry or lies in one."""
    entries = [match for page in API_PAGES for match in ENTRY.finditer(page.read_text(encoding="utf-8"))]
    named = {match["module"] for match in entries}
    whole = {match["module"] for match in entries if match["whole"]}
    extended = (
        "models",
        "baselines",
        "corpora",
        "evaluation",
        "encoders",
        "context",
        "predictors",
        "quantizers",
        "negatives",
        "objectives",
    )
    files = {module for package in extended for module in modules(f"foresay.{package}").values()}
    homes = {f"foresay.{home}" for home in foresay._HOMES}
    missing = {module for module in files | homes if module not in named and not any(module.startswith(f"{entry}.") for entry in whole)}
    assert not missing
    assert not [module for module in named if importlib.util.find_spec(module) is None]


def test_tables_of_the_tree_stand_on_the_pages() -> None:
    """Those that `docs/catalog.py` makes have a row for each file, and each stands on a page."""
    hook = runpy.run_path(str(ROOT / "docs" / "catalog.py"))
    marks = [match["kind"] for page in PAGES for match in hook["MARK"].finditer(page.read_text(encoding="utf-8"))]
    assert sorted(marks) == sorted(hook["LISTS"])
    for kind, found in hook["LISTS"].items():
        made = hook["on_page_markdown"](f"# Title\n\n<!-- every {kind} -->\n\nand so on\n", page=None)
        assert [row.split("`")[1] for row in made.splitlines() if row.startswith("| `")] == list(found())
        assert made.startswith("# Title\n\n| ")
        assert made.endswith(" |\n\nand so on\n")


SETTING = re.compile(r"(?:`|--set '?)(?P<section>model|data|optimizer|trainer)\.(?P<key>[a-z_]+)(?=[`=.])")
ENDINGS = {"toml", "safetensors", "pt", "onnx"}
"""`model.toml` is a file."""


def test_settings_on_the_pages_exist() -> None:
    models = [settings_class(find_model(model)) for model in list_names("foresay.models")]
    owners = {
        "model": [*models, EncoderOnlySettings],
        "data": [DataSettings],
        "optimizer": [OptimizerSettings],
        "trainer": [TrainerSettings],
    }
    known = {section: {field.name for owner in found for field in dataclasses.fields(owner)} for section, found in owners.items()}
    named = [(name(page), *match.group("section", "key")) for page in PAGES for match in SETTING.finditer(page.read_text(encoding="utf-8"))]
    assert named
    assert not [f"{page}: {section}.{key}" for page, section, key in named if key not in known[section] | ENDINGS]
