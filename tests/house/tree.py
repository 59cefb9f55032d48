"""The source tree as the house tests see it."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "foresay"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODELS = sorted((PACKAGE / "models").glob("*/[!_]*.py"))

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of the syntax tree of a file."""
    return tuple(ast.walk(parsed(path)))


def name(path: Path) -> str:
    """Return a path as messages show it: from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[AnyFunction]:
    """Yield every function of a file, nested ones too."""
    yield from (node for node in nodes(path) if isinstance(node, AnyFunction))


def inner_imports(path: Path) -> Iterator[tuple[AnyFunction, ast.Import | ast.ImportFrom]]:
    """Yield the imports inside functions, each with its function."""
    for function in functions(path):
        yield from ((function, node) for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom))


@functools.cache
def imported(path: Path) -> frozenset[Path]:
    """Return the files of the package that a file imports anywhere in it."""
    modules: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` names a module too
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {module for module in inner if _file(module)} or {node.module}
    return frozenset(file for module in modules if (file := _file(module)))


def reached(path: Path, *, without: set[str]) -> set[Path]:
    """Return the files that must be opened to be sure what a file does: itself and what it imports, and so on."""
    seen, ahead = set(), [path]
    while ahead:
        file = ahead.pop()
        if file not in seen and file.relative_to(PACKAGE).as_posix() not in without:
            seen.add(file)
            ahead += imported(file)
    return seen


def line_count(path: Path) -> int:
    """Return how many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


@functools.cache
def repository_files() -> list[Path]:
    """Return the files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / line for line in listed if (ROOT / line).is_file()]


def _file(module: str) -> Path | None:
    """Return where a module of the package lives."""
    package, *inner = module.split(".")
    if package != "foresay":
        return None
    place = PACKAGE.joinpath(*inner)
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)
