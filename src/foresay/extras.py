"""Optional packages: imported where they are needed, with one message that says what to do where one is missing or broken.

An extra of `pyproject.toml` names them. `pip install 'foresay[EXTRA]'` is never said: an index may not have Foresay, or have something else
by that name. A checkout is installed once more, with the extra; for any other copy the packages themselves are named.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

from foresay.errors import UserError

CORE = ""
"""The name, among extras, of what Foresay always needs."""


@contextmanager
def optional(module: str, extra: str, use: str) -> Iterator[None]:
    """Import, within it, the module of an extra's package. `use` begins the message, such as `a report`.

    Raises:
        UserError: the package is not installed, or what is installed cannot be imported; each says what to do.
    """
    try:
        yield
    except Exception as error:  # a broken package may raise anything
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == module:
            msg = f"{use} needs the package {module}, which is not installed: {install(extra)}"
        else:
            msg = (
                f"{use} needs the package {module}, which is installed, but cannot be imported ({type(error).__name__}: {error}). Usual "
                f"causes: it was installed in part, or does not fit another package. Install it again: {install(extra, again=True)}"
            )
        raise UserError(msg) from error


def install(extra: str = CORE, *, folder: str | None = None, again: bool = False) -> str:
    """Return the command that installs what an extra adds to this copy of Foresay, or what Foresay itself needs.

    Args:
        extra: of `pyproject.toml`.
        folder: what to call the folder of a checkout; default its whole path.
        again: even what is installed already.
    """
    force = "--force-reinstall " if again else ""
    checkout, packages = _checkout(), requirements().get(extra, ())
    if checkout is not None and not again:
        return f"pip install -e {shlex.quote((folder or str(checkout)) + (f'[{extra}]' if extra else ''))}"
    if not packages:
        return f"what the extra {extra!r} of its pyproject.toml names" if extra else "what its pyproject.toml names"
    return f"pip install {force}{' '.join(shlex.quote(package) for package in packages)}"


@cache
def requirements() -> Mapping[str, tuple[str, ...]]:
    """Return the packages, with their bounds, that each extra adds, and under `CORE` those that Foresay always needs."""
    checkout = _checkout()
    if checkout is not None:
        project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        named = {CORE: project["dependencies"], **project["optional-dependencies"]}
        return {extra: tuple(packages) for extra, packages in named.items()}
    try:
        declared = metadata.requires("foresay") or []
    except metadata.PackageNotFoundError:  # a copied folder
        declared = []
    found: dict[str, tuple[str, ...]] = {}
    for requirement in declared:
        package, _, marker = requirement.partition(";")
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", marker)
        key = extra[1] if extra else CORE
        found[key] = (*found.get(key, ()), package.strip())
    return found


def _checkout() -> Path | None:
    """Return the folder of the checkout that this copy is run from, if it is."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "src" / "foresay").is_dir() and (folder / "pyproject.toml").is_file() else None
