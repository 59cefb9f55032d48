"""Pickles as plain data: a stack machine that takes opcodes apart (`pickletools`) and never imports or calls anything.

Objects become what they were made of: the name of their class, its arguments, their state. Arrays are arrays, also those of joblib, which
writes their bytes behind the opcodes that speak of them.
"""

import io
import math
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

JOBLIB = "joblib.numpy_pickle.NumpyArrayWrapper"
RECONSTRUCTORS = {"copy_reg._reconstructor", "copyreg._reconstructor"}
"""What the first protocols make any object with; its class is the first argument."""
ALIGNED = "numpy_array_alignment_bytes"
"""What the state of joblib's arrays has where a byte before them says how many are to be skipped."""
KINDS = "biuf"
"""Numbers, as NumPy's dtypes name their kinds."""

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARKED: dict[str, Callable[[list[Any]], Any]] = {
    "TUPLE": tuple,
    "LIST": list,
    "FROZENSET": frozenset,
    "DICT": lambda items: dict(zip(items[::2], items[1::2], strict=True)),
}
"""What is made of all that stands above the last mark."""


class PickledObject:
    """What a pickle says of an object of somebody's class."""

    def __init__(self, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        """`arguments`: what it is made of; None: it is the class itself, or a function."""
        self.name, self.arguments = name, arguments
        self.state: Any = None


def read_pickle_data(content: bytes) -> Any:  # noqa: ANN401 - data of any shape
    """Read the value that a pickle holds: numbers, texts, bytes, collections, arrays and `PickledObject`s.

    Raises:
        ValueError: it is damaged, or of a kind that cannot be read so.
    """
    file = io.BytesIO(content)  # which reads no more than there is, whatever a length in it says
    machine = _Machine(file)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.do(opcode.name, argument)
        return as_array(machine.stack[-1])
    except (AttributeError, IndexError, KeyError, OverflowError, SyntaxError, TypeError, UnicodeError) as error:
        msg = f"its opcodes make no sense ({type(error).__name__}: {error})"
        raise ValueError(msg) from error


class _Machine:
    """The stack of a pickle, with its marks and its memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        """The stacks below each mark."""
        self._memory: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:  # noqa: ANN401 - whatever an opcode carries
        """Follow one opcode."""
        if name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in TUPLES:
            self.stack.append(tuple(self._taken(TUPLES[name])))
        elif name in MARKED:
            made = MARKED[name](self._above_mark())
            self.stack.append(made)
        elif name.endswith(("PUT", "MEMOIZE", "GET")):
            self._remember(name, argument)
        elif name in self._ACTIONS:
            self._ACTIONS[name](self)
        elif name in {"GLOBAL", "INST"}:
            arguments = tuple(self._above_mark()) if name == "INST" else None
            self.stack.append(PickledObject(argument.replace(" ", "."), arguments))
        elif argument is not None and not name.startswith(("EXT", "PERSID")):
            self.stack.append(argument)
        else:
            msg = f"it has the opcode {name}, which means something outside of the file"
            raise ValueError(msg)

    def _taken(self, count: int) -> list[Any]:
        """Take the uppermost values off the stack."""
        if len(self.stack) < count:
            raise IndexError(count)
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _above_mark(self) -> list[Any]:
        above, self.stack = self.stack, self._below.pop()
        return above

    def _mark(self) -> None:
        self._below.append(self.stack)
        self.stack = []

    def _remember(self, name: str, argument: Any) -> None:  # noqa: ANN401 - a place
        if name.endswith("GET"):
            self.stack.append(self._memory[int(argument)])
        else:
            self._memory[len(self._memory) if name == "MEMOIZE" else int(argument)] = self.stack[-1]

    def _named(self) -> None:
        module, name = self._taken(2)
        self.stack.append(PickledObject(f"{module}.{name}"))

    def _made(self, count: int) -> None:
        made, arguments = self._taken(count)[:2]
        name = arguments[0].name if made.name in RECONSTRUCTORS else made.name
        self.stack.append(PickledObject(name, tuple(arguments)))

    def _made_of_mark(self) -> None:
        made, *arguments = self._above_mark()
        self.stack.append(PickledObject(made.name, tuple(arguments)))

    def _put_into_list(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def _put_into_set(self, items: list[Any]) -> None:
        self.stack[-1].update(items)

    def _put_into_dict(self, items: list[Any]) -> None:
        self.stack[-1].update(zip(items[::2], map(as_array, items[1::2]), strict=True))

    def _build(self) -> None:
        """Give an object its state; of an array of joblib, read what follows in the file."""
        built, state = self._taken(2)
        built.state = state
        self.stack.append(_bytes_behind(self.file, state) if built.name == JOBLIB else built)

    _ACTIONS: dict[str, Callable[["_Machine"], Any]] = {  # noqa: RUF012 - a table of the class, never changed
        **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _: None),
        "MARK": _mark,
        "POP": lambda self: self.stack.pop(),
        "POP_MARK": _above_mark,
        "DUP": lambda self: self.stack.append(self.stack[-1]),
        "STACK_GLOBAL": _named,
        "REDUCE": lambda self: self._made(2),
        "NEWOBJ": lambda self: self._made(2),
        "NEWOBJ_EX": lambda self: self._made(3),
        "OBJ": _made_of_mark,
        "APPEND": lambda self: self._put_into_list(self._taken(1)),
        "APPENDS": lambda self: self._put_into_list(self._above_mark()),
        "SETITEM": lambda self: self._put_into_dict(self._taken(2)),
        "SETITEMS": lambda self: self._put_into_dict(self._above_mark()),
        "ADDITEMS": lambda self: self._put_into_set(self._above_mark()),
        "BUILD": _build,
    }


def as_array(value: Any) -> Any:  # noqa: ANN401 - whatever a pickle holds
    """Make an array of numbers of what NumPy pickled as one; anything else stays as it is."""
    if not isinstance(value, PickledObject):
        return value
    if value.name.endswith(".multiarray._reconstruct") and isinstance(value.state, tuple):
        _, shape, dtype, fortran, content = value.state
        return _array(_dtype(dtype), _content(content), shape, "F" if fortran else "C")
    if value.name.endswith(".numeric._frombuffer") and value.arguments is not None:
        content, dtype, shape, order = value.arguments
        return _array(_dtype(dtype), _content(content), shape, order)
    return value


def _bytes_behind(file: BinaryIO, state: dict[str, Any]) -> NDArray[Any]:
    """Read an array of joblib from where the file is."""
    if ALIGNED in state and state[ALIGNED] is not None:
        file.read(file.read(1)[0])
    dtype, shape = _dtype(state["dtype"]), state["shape"]
    size = dtype.itemsize * math.prod(shape)
    if len(content := file.read(size)) != size:
        msg = "it ends within an array"
        raise ValueError(msg)
    return _array(dtype, content, shape, state["order"])


def _array(dtype: np.dtype[Any], content: bytes, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape[::-1]).T if order == "F" else flat.reshape(shape)


def _dtype(said: Any) -> np.dtype[Any]:  # noqa: ANN401 - whatever stands there
    """Read a dtype of numbers: `numpy.dtype("f8", False, True)` with a state that says the order of bytes."""
    if not isinstance(said, PickledObject) or said.name != "numpy.dtype" or not said.arguments or not isinstance(said.state, tuple):
        msg = f"it has an array of {said!r}"
        raise TypeError(msg)
    dtype = np.dtype(f"{'>' if said.state[1] == '>' else '<'}{said.arguments[0]}")
    if dtype.kind not in KINDS:
        msg = f"it has an array of {dtype}, and not of numbers"
        raise ValueError(msg)
    return dtype


def _content(value: Any) -> bytes:  # noqa: ANN401 - bytes, or what older protocols say instead
    """Return the bytes of an array: older protocols write them as text of latin-1, perhaps to be encoded again."""
    if isinstance(value, PickledObject) and value.name == "_codecs.encode" and value.arguments:
        value = value.arguments[0]
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes | bytearray):
        msg = f"it has an array of the bytes {type(value).__name__}"
        raise TypeError(msg)
    return bytes(value)
