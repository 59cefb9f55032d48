"""Every public function that takes or gives arrays says their shapes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from house.tree import SOURCES, AnyFunction, name, parsed

NAMED = re.compile(r"\b(Mapping|dict)\[str, (Tensor|(npt\.)?NDArray\[Any\])\]")
"""Tensors by name, such as all the weights of a model: they have no one shape."""
ARRAYS = re.compile(r"\b(Tensor|NDArray)\b")
SHAPE = re.compile(r"\(\)|\([^(),]+,\)|\((?=[^()]*(?:\b[A-Zgn]\b|…|\d))[^(),]+(?:, [^(),]+)+\)|\b[Ss]calars?\b")
"""`(B, T, D)`, `(T,)`, `()`, or the word."""


def _public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, AnyFunction]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body, f"{node.name}.")
        elif isinstance(node, AnyFunction) and not node.name.startswith("_"):
            yield owner + node.name, node


def _has_arrays(function: AnyFunction) -> bool:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *([arguments.vararg] if arguments.vararg else [])]
    annotations = [argument.annotation for argument in given] + [function.returns]
    return any(ARRAYS.search(NAMED.sub("", ast.unparse(annotation))) for annotation in annotations if annotation)


def _without_shapes(path: Path) -> list[str]:
    found = _public(parsed(path).body)
    return [title for title, function in found if _has_arrays(function) and not SHAPE.search(ast.get_docstring(function) or "")]


def test_shapes_are_said() -> None:
    assert not [f"{name(path)}: {title}" for path in SOURCES for title in _without_shapes(path)]


def test_shapes_are_no_prose() -> None:
    shapes = ("(B, T, D)", "frames (T,)", "a loss ()", "(g, W, N) int64", "(…, D)", "(rt60 * sample_rate,) samples", "scalar")
    prose = ("Move it (temperature, queue).", "Return the loss (a sum).", "Drop elements, if in training.")
    assert all(map(SHAPE.search, shapes))
    assert not any(map(SHAPE.search, prose))


def test_a_function_without_shapes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "part.py"
    path.write_text(
        '''
class Part:
    def forward(self, frames: Tensor) -> Tensor:
        """Normalize."""
    def good(self, frames: Tensor | None = None) -> int:
        """Count frames (B, T, D)."""
    def _own(self, frames: Tensor) -> None:
        """Normalize."""
def draw(count: int) -> NDArray[np.float32]:
    """Draw noise."""
def plain(count: int) -> int:
    """Count."""
def save(weights: Mapping[str, Tensor]) -> None:
    """Save weights by name."""
''',
        encoding="utf-8",
    )
    assert _without_shapes(path) == ["Part.forward", "draw"]
