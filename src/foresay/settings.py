"""Settings: TOML tables <-> frozen dataclasses, and names -> classes.

Every owner (model, data, optimizer, trainer) has one frozen dataclass whose defaults are the paper's. A recipe states only what differs.
An unknown key or a wrong type is an error that names the nearest valid key. Nothing here imports torch.
"""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
import tomllib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tomli_w

from foresay.errors import UserError, nearest
from foresay.files import read_text
from foresay.trust import refuse_foreign

Table: TypeAlias = dict[str, Any]
T = TypeVar("T")

LARGEST = 2**63
"""What no number of a setting reaches: 64 bits hold those below it."""


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `cls` from a TOML table; `where` is the table's name in messages."""
    types_of = get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cast("Any", cls))}
    values: Table = {}
    for key, value in table.items():
        if key not in known:
            msg = f"unknown setting {where}.{key} = {value!r}: {nearest(key, known)}"
            raise UserError(msg)
        values[key] = _checked(value, types_of[key], f"{where}.{key}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        msg = f"settings of [{where}] do not fit: {error}"
        raise UserError(msg) from error


def construct(owner: Callable[..., T], settings: object, parts: Mapping[str, object] | None = None) -> T:
    """Build a model from its settings and, where it is made of other models, these.

    Raises:
        UserError: they do not fit together, or ask for more than there is memory. Whatever a constructor of this package's layers and of
            PyTorch's finds wrong is wrong with the numbers it was given.
    """
    try:
        return owner(settings, **(parts or {}))
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"the settings of [model] do not fit together: {why}"
        raise UserError(msg) from error


def require_not_negative(settings: object) -> None:
    """Refuse settings below 0: for the `__post_init__` of a dataclass none of whose numbers may be.

    Raises:
        ValueError: one is; the message names it.
    """
    for field in dataclasses.fields(cast("Any", settings)):
        value = getattr(settings, field.name)
        numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, (int, float))]
        if any(number < 0 for number in numbers):
            msg = f"{field.name} must not be negative, but is {value}"
            raise ValueError(msg)


def require_at_most(settings: object, most: float, *fields: str) -> None:
    """Refuse settings above `most`.

    Raises:
        ValueError: one is; the message names it.
    """
    for field in fields:
        if getattr(settings, field) > most:
            msg = f"{field} must be at most {most}, not {getattr(settings, field)}"
            raise ValueError(msg)


def require_shares(settings: object, *fields: str) -> None:
    """Refuse settings that are no share, from 0 to 1; None is left alone.

    Raises:
        ValueError: one is none; the message names it.
    """
    for field in fields:
        value = getattr(settings, field)
        if value is not None and not 0 <= value <= 1:
            msg = f"{field} is a share, from 0 to 1, not {value}"
            raise ValueError(msg)


def require_positive(settings: object, *fields: str) -> None:
    """Refuse settings that are no number above 0, or none: for the `__post_init__` of a dataclass. Of a tuple, each; None is left alone.

    Raises:
        ValueError: one is 0, negative, infinite or not a number, or an empty tuple; the message names it.
    """
    for field in fields:
        value = getattr(settings, field)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(0 < number < math.inf for number in numbers) or value == ():
            msg = f"{field} must be above 0, not {value}"
            raise ValueError(msg)


def options_of(part: type, table: Mapping[str, Any], where: str) -> Table:
    """Check the options of a part, which are the keyword-only arguments that its class is built with; `where` as in `from_table`."""
    arguments = inspect.signature(part).parameters.values()
    known = [argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY]
    types_of = get_type_hints(next(vars(cls)["__init__"] for cls in part.__mro__ if "__init__" in vars(cls)))
    for key, value in table.items():
        if key not in known:
            msg = f"unknown option {where}.{key} = {value!r}: {nearest(key, known)}"
            raise UserError(msg)
    return {key: _checked(value, types_of[key], f"{where}.{key}") for key, value in table.items()}


def to_table(settings: object) -> Table:
    """Turn a settings dataclass into a TOML table; TOML has no null, so what is None is left out."""
    table = dataclasses.asdict(cast("Any", settings))
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items() if value is not None}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """Lay one table over another: tables are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def assignment(text: str) -> Table:
    """Read one `--set` argument.

    Examples:
        >>> assignment("trainer.steps=1000")
        {'trainer': {'steps': 1000}}
        >>> assignment("data.sampler=uniform")
        {'data': {'sampler': 'uniform'}}
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        msg = f"--set takes section.key=value, not {text!r}; for example --set trainer.steps=1000"
        raise UserError(msg)
    try:
        table = tomllib.loads(f"value = {value.strip()}")
    except (RecursionError, ValueError):
        table = {}
    parsed: Any = table["value"] if len(table) == 1 else value.strip()  # a bare word is a string
    for key in reversed(keys):
        parsed = {key: parsed}
    return cast("Table", parsed)


def read_toml(text: str, where: str) -> Table:
    """Parse TOML, or say where it is not TOML."""
    try:
        return tomllib.loads(text)
    except (RecursionError, ValueError) as error:  # ValueError: not TOML, or a number of thousands of digits
        msg = f"{where} is not valid TOML: {error}"
        raise UserError(msg) from error


def read_toml_file(path: Path) -> Table:
    """Read a TOML file.

    Raises:
        UserError: it cannot be opened, or is no TOML; the message names it.
    """
    return read_toml(read_text(path), str(path))


def write_toml(table: Mapping[str, Any]) -> str:
    """Turn a table into TOML text."""
    return tomli_w.dumps(table)


def find_class(package: str, name: str, base: type) -> Any:  # noqa: ANN401 - the caller knows the class it asks for
    """Find the class that a name stands for. The file name is the registry.

    `acpc` in package `foresay.models` is the file `acpc.py` there or in a package in it; a dotted name (`my_lab.my_model`) is that module.
    A file that holds several small kinds names them in `__all__`: `lstm` is the class `LSTM` of `foresay.context.recurrent`.
    The class is the one the module defines itself that subclasses `base` and has no underscore before its name.
    """
    dotted = "." in name
    stem = name.replace("-", "_")
    module_name = name if dotted else modules(package).get(stem, f"{package}.{stem}")
    if not all(part.isidentifier() for part in module_name.split(".")):
        msg = f"{name!r} is no name of a {package.rpartition('.')[2].rstrip('s')}: {nearest(name, list_names(package))}"
        raise UserError(msg)
    refuse_foreign(module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the module exists, but something that it needs does not
        hint = "it must be importable from here." if dotted else nearest(name, list_names(package))
        msg = f"there is no {package.rpartition('.')[2].rstrip('s')} {name!r}: {hint}"
        raise UserError(msg) from error
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__ and c.__name__[0] != "_"]
    found = [c for c in own if issubclass(c, base) and not inspect.isabstract(c)]
    found = [c for c in found if _snake(c.__name__) == stem] if "__all__" in vars(module) else found
    if len(found) != 1:
        msg = f"module {module_name} must define exactly one {base.__name__}; it defines {len(found)}"
        raise UserError(msg)
    return found[0]


def settings_class(owner: type) -> type[Any]:
    """Find the settings dataclass of a class built as `owner(settings)`, from that parameter's annotation."""
    return cast("type[Any]", get_type_hints(vars(owner)["__init__"])["settings"])


def parts_of(owner: type) -> dict[str, Any]:
    """Find the models that a class is built from: the parameters after `settings`, each with the contract that it must meet."""
    hints = get_type_hints(vars(owner).get("__init__", object.__init__))
    return {name: kind for name, kind in hints.items() if name not in {"settings", "return"}} if "settings" in hints else {}


def name_of(owner: type, *packages: str) -> str:
    """Return the name that `find_class` finds a class by, in one of the packages: its file's, or its module's where it lies elsewhere."""
    for package in packages:
        for name, module in modules(package).items():
            if module == owner.__module__ and (module.endswith(f".{name}") or name == _snake(owner.__name__)):
                return name.replace("_", "-")
    return owner.__module__


def list_names(package: str, base: str | None = None) -> list[str]:
    """List what a package and the packages in it offer, by looking at their files, without importing them: the file name is the registry.

    `base`: only files that define a subclass of a class of this name, such as `Measure`, however many files lie between.
    """
    found = modules(package)
    return sorted(name.replace("_", "-") for name, module in found.items() if base is None or base in _bases(module))


def modules(package: str) -> dict[str, str]:
    """Find the files of a package and of the packages in it, without importing them: name, with underscores -> module."""
    found: dict[str, str] = {}
    for name, is_package in _contents(tuple(importlib.import_module(package).__path__)):
        if is_package:
            found |= modules(f"{package}.{name}")
        elif not name.startswith("_"):
            found |= dict.fromkeys(_outline(f"{package}.{name}").kinds or [name], f"{package}.{name}")
    return found


@functools.cache
def _contents(folders: tuple[str, ...]) -> list[tuple[str, bool]]:
    """List what lies in the folders of a package, and whether it is a package: read once, as its files are."""
    return [(module.name, module.ispkg) for module in pkgutil.iter_modules(folders)]


def first_line(package: str, name: str) -> str:
    """Return the first line of a listed file's docstring, without importing it."""
    return _outline(modules(package)[name.replace("-", "_")]).first_line


def keys(module: str, constant: str) -> list[str]:
    """List the keys of a dictionary that a file writes down under a name, without importing the file."""
    stated = _outline(module).assigned[constant]
    return [ast.literal_eval(key) for key in stated.keys if key] if isinstance(stated, ast.Dict) else []


class _Outline(NamedTuple):
    """What can be read off a file without importing it."""

    first_line: str
    kinds: tuple[str, ...]
    """What it holds several of: the classes in its `__all__`, in snake case."""
    assigned: Mapping[str, ast.expr]
    """Name -> what is written after its `=`."""
    classes: Mapping[str, tuple[str, ...]]
    """Class -> the names of the classes that it derives from."""
    imported: Mapping[str, str]
    """Name -> the module that it comes from."""


@functools.cache
def _outline(module: str) -> _Outline:
    """Read a module's file; a file does not change while we run."""
    file = _file(module)
    tree = ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    return _Outline(
        (ast.get_docstring(tree) or "").partition("\n")[0],
        tuple(_snake(name) for name in ast.literal_eval(assigned["__all__"])) if "__all__" in assigned else (),
        assigned,
        {node.name: tuple(map(_class_name, node.bases)) for node in tree.body if isinstance(node, ast.ClassDef)},
        {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module for alias in node.names},
    )


def _file(module: str) -> Path | None:
    """Find where a module is written, without importing the packages that it lies in."""
    package, _, name = module.rpartition(".")
    places = [place for folder in _folders(package) for place in (folder / f"{name}.py", folder / name / "__init__.py")]
    return next((place for place in places if place.is_file()), None)


def _folders(package: str) -> list[Path]:
    """List the folders of a package; of one that is not imported, below those of the package that it lies in."""
    if package in sys.modules:
        return [Path(folder) for folder in sys.modules[package].__path__]
    outer, _, name = package.rpartition(".")
    return [folder / name for folder in _folders(outer)] if outer else []


@functools.cache
def _bases(module: str) -> frozenset[str]:
    """Name all classes that those of a file derive from, directly or by way of other files of the package."""
    return frozenset(name for given in _outline(module).classes.values() for base in given for name in _line(module, base))


def _line(module: str, name: str) -> set[str]:
    """Name a class, as a file calls it, and all that it derives from."""
    outline = _outline(module)
    if name in outline.classes:
        return {name}.union(*(_line(module, base) for base in outline.classes[name]))
    source = outline.imported.get(name, "")
    return _line(source, name) if source.partition(".")[0] == module.partition(".")[0] else {name}


def _class_name(base: ast.expr) -> str:
    """Return the name of a base class without what stands in brackets: `Measure[Protocol]` is a `Measure`."""
    return ast.unparse(base.value if isinstance(base, ast.Subscript) else base)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _checked(value: Any, wanted: Any, where: str) -> Any:  # noqa: ANN401 - values of any type come in
    """Return `value` as the annotated type, or say what was expected."""
    origin = get_origin(wanted)
    if origin in {Union, types.UnionType}:
        return _checked(value, next(t for t in get_args(wanted) if t is not type(None)), where)
    if origin is Literal:
        if value in get_args(wanted):
            return value
        msg = f"{where} = {value!r}: {nearest(str(value), map(str, get_args(wanted)))}"
        raise UserError(msg)
    if origin is tuple:
        kinds = get_args(wanted)
        count = None if ... in kinds else len(kinds)
        if isinstance(value, list) and count in {None, len(value)}:
            return tuple(_checked(v, kinds[0], where) for v in value)
        msg = f"{where} must be a list{f' of {count}' if count else ''}, not {value!r}"
        raise UserError(msg)
    if origin is dict:
        if isinstance(value, dict):
            return value
        msg = f"{where} must be a table, not {value!r}"
        raise UserError(msg)
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        msg = f"{where} must be of type {wanted.__name__}, not {type(value).__name__} ({value!r})"
        raise UserError(msg)
    if type(value) in {int, float} and not abs(value) < LARGEST:
        msg = f"{where} = {value} is no number that anything can be set to: give a finite one below 2^63"
        raise UserError(msg)
    return float(value) if wanted is float else value
