"""Beauty decays unless a number defends it."""

from house.tree import PACKAGE, SOURCES, AnyFunction, functions, line_count, name


def test_files_are_short() -> None:
    assert not {name(path): count for path in SOURCES if (count := line_count(path)) > 400}


def test_contracts_are_shorter_still() -> None:
    assert max(map(line_count, (PACKAGE / "contracts").glob("*.py"))) <= 150


def test_functions_are_short() -> None:
    assert not {f"{name(path)}: {f.name}": count for path in SOURCES for f in functions(path) if (count := _lines(f)) > 60}


def test_functions_take_few_arguments() -> None:
    assert not {f"{name(path)}: {f.name}": count for path in SOURCES for f in functions(path) if (count := _arguments(f)) > 12}


def _lines(function: AnyFunction) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _arguments(function: AnyFunction) -> int:
    a = function.args
    return len([*a.posonlyargs, *a.args, *a.kwonlyargs]) - (
        (a.args or a.posonlyargs)[:1] != [] and (a.posonlyargs + a.args)[0].arg == "self"
    )
