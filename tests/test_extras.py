"""Advice on optional packages can be followed: for a checkout, for an installed wheel, and whether a package is missing or broken."""

import ast
import functools
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from foresay import extras
from foresay.errors import UserError
from foresay.extras import install, optional, requirements
from house.tree import ROOT, SOURCES, name, nodes, repository_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]
USES = [
    (name(path), *(ast.literal_eval(argument) for argument in node.args[:2]))
    for path in SOURCES
    if path.stem != "extras" and "optional(" in path.read_text(encoding="utf-8")
    for node in nodes(path)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "optional"
]
"""File, module and extra of every optional import."""


def packages(command: str) -> list[Requirement]:
    """Read what a command of pip installs."""
    words = shlex.split(command)
    assert words[:2] == ["pip", "install"]
    return [Requirement(word) for word in words[2:] if not word.startswith("-")]


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this copy look as if it came as a wheel."""
    about = tmp_path / "foresay-0.dist-info"
    about.mkdir()
    lines = [f"Requires-Dist: {package}" for package in PROJECT["dependencies"]]
    lines += [f"Requires-Dist: {package}; extra == '{extra}'" for extra, names in OPTIONAL.items() for package in names]
    (about / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: foresay", "Version: 0", *lines, ""]), encoding="utf-8")
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "lib" / "site-packages" / "foresay" / "extras.py"))
    installed = metadata.PathDistribution(about)
    monkeypatch.setattr(metadata, "requires", lambda _: installed.requires)
    requirements.cache_clear()


@pytest.mark.parametrize("file, module, extra", USES, ids=[f"{file}-{module}" for file, module, _ in USES])
def test_the_extra_of_an_optional_import_brings_the_package(file: str, module: str, extra: str) -> None:  # noqa: ARG001
    assert extra in OPTIONAL
    brought = {canonicalize_name(Requirement(package).name) for package in OPTIONAL[extra]}
    for package in list(brought):  # and what these need themselves
        brought |= {canonicalize_name(Requirement(needed).name) for needed in _needs(package)}
    assert brought & set(map(canonicalize_name, _distributions().get(module, [module])))


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _needs(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:  # the extra onnx is not installed everywhere
        return []


def test_all_optional_imports_are_reported_in_one_way() -> None:
    assert {
        "sklearn",
        "PIL",
        "matplotlib",
        "transformers",
        "huggingface_hub",
        "tensorboard",
        "pocketsphinx",
        "espeakng_loader",
        "onnx",
    } <= {module for _, module, _ in USES}
    texts = [path for path in repository_files() if path.suffix in {".md", ".py", ".toml", ".yml"} and path.name != Path(__file__).name]
    never = re.compile(r"pip install [^\n]*?(?<![./\w])foresay\b")
    assert not [name(path) for path in texts if path.name != "extras.py" and never.search(path.read_text(encoding="utf-8"))]


def test_a_checkout_is_installed_again_with_the_extra() -> None:
    requirements.cache_clear()
    assert install("plot") == f"pip install -e {shlex.quote(f'{ROOT}[plot]')}"
    assert install("plot", folder="./foresay") == "pip install -e './foresay[plot]'"
    assert install() == f"pip install -e {shlex.quote(str(ROOT))}"
    assert requirements() == {"": tuple(PROJECT["dependencies"]), **{extra: tuple(names) for extra, names in OPTIONAL.items()}}


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("extra", ["", *OPTIONAL])
def test_a_wheel_names_the_packages_and_their_bounds(extra: str) -> None:
    declared = OPTIONAL[extra] if extra else PROJECT["dependencies"]
    assert {str(found) for found in packages(install(extra))} == {str(Requirement(package)) for package in declared}
    assert "foresay" not in install(extra)


@pytest.mark.usefixtures("wheel")
def test_a_copied_folder_names_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(package: str) -> list[str]:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "requires", unknown)
    assert install("plot") == "what the extra 'plot' of its pyproject.toml names"


def test_what_is_not_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python's own way to say that a module is not there
    requirements.cache_clear()
    with pytest.raises(UserError) as caught, optional("matplotlib", "plot", "a report"):
        import matplotlib.style  # noqa: F401, PLC0415
    assert str(caught.value) == f"a report needs the package matplotlib, which is not installed: {install('plot')}"


BROKEN = {
    "lacks another package": "import a_package_that_is_not_there",
    "does not fit another": "from json import a_name_that_is_not_there",
    "finds no library": "import ctypes; ctypes.CDLL('liba_library_that_is_not_there.so')",
    "of another ABI": "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_there_and_broken_is_not_reported_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "matplotlib.py").write_text(code, encoding="utf-8")
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    requirements.cache_clear()
    with pytest.raises(UserError) as caught, optional("matplotlib", "plot", "a report"):
        import matplotlib as mpl  # noqa: F401, PLC0415
    message = str(caught.value)
    assert "is installed, but cannot be imported" in message
    assert "not installed" not in message
    assert re.search("not_there|binary incompatibility", message)
    assert message.endswith("Install it again: pip install --force-reinstall 'matplotlib>=3.8'")
