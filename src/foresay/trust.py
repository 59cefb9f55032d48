"""Trust in code: files may name modules of this package, and others only if the user trusts them.

A dotted name (`my_lab.my_model`) means a module of one's own, and to import a module runs it. What the user types may name any. What stands
in a file may not: who downloads a folder has not read it, and Python looks for modules in the current folder too, where the download lies.

    a model folder, a run                     modules of this package
    a recipe                                  these, and such as are found without looking into the current folder
    either, with `--trust` or `trusting()`    any
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal

from foresay.errors import UserError

Source = Literal["model folder", "recipe"]

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)
_source: ContextVar[Source | None] = ContextVar("source", default=None)


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:  # noqa: FBT001, FBT002 - `trusting(options.trust)` reads well
    """Let files name any module meanwhile, and checkpoints bring code along; if not `trust`, all stays as it is."""
    token = _trusted.set(trust or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def is_trusted() -> bool:
    """Whether the user said so."""
    return _trusted.get()


@contextmanager
def named_in(source: Source) -> Iterator[None]:
    """Take the names that are looked up meanwhile for such as stand in a file."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def refuse_foreign(module: str) -> None:
    """Make sure that a module may be imported, without importing anything.

    Raises:
        UserError: a file names it, and it is not of this package.
    """
    source = _source.get()
    if source is None or is_trusted() or module.startswith("foresay.") or (source == "recipe" and _is_installed(module)):
        return
    elsewhere = " and is found in the current folder, if at all" if source == "recipe" else ""
    msg = (
        f"the {source} names the module {module}, which is not part of Foresay{elsewhere}: to import it runs its code. "
        "If it is yours, or you trust who wrote it, give --trust (in Python: foresay.load(…, trust=True), or foresay.trust.trusting())"
    )
    raise UserError(msg)


def _is_installed(module: str) -> bool:
    """Whether Python finds the package of a module without looking into the current folder."""
    package, here = module.partition(".")[0], Path.cwd()
    elsewhere = [entry for entry in sys.path if entry and Path(entry).resolve() != here]
    return package in sys.builtin_module_names or PathFinder.find_spec(package, elsewhere) is not None
