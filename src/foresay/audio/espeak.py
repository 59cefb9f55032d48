"""eSpeak NG through ctypes: a sentence in, samples and the engine's own events out.

The library comes from the PyPI package `espeakng-loader` (the extra `demo`). eSpeak NG is GPL-3: it is loaded at run time, never linked.
It keeps its state in global variables, and what it said before changes the flutter and the noise of what it says next. So every
sentence is spoken by a private copy of the library, loaded for it and dropped afterwards: `synthesize` is a pure function, in any thread.
"""

import _ctypes
import ctypes
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.errors import UserError, nearest
from foresay.extras import optional

SAMPLE_RATE = 22050

# From eSpeak NG's speak_lib.h.
_SYNCHRONOUS = 2
_PHONE_EVENTS, _PHONES_IN_IPA, _DO_NOT_EXIT = 0x0001, 0x0002, 0x8000
_RATE, _PITCH, _MELODY = 1, 3, 4
_TEXT_IS_UTF8, _BRACKETS_HOLD_PHONEMES = 0x0001, 0x0100
_CHARACTERS_ARE_UTF8 = 1
_BETWEEN = "_"
"""What stands between the phonemes of a word, where the engine is asked for them."""
_END_OF_LIST, _PHONE = 0, 7


class Mark(NamedTuple):
    """What the engine reports when it begins a phone."""

    sample: int
    phone: str
    """IPA with stress marks; empty for a pause and for the glide from an i to another vowel."""
    word: int
    """The character of the text, from 0, where the word begins that the phone is of."""


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Listener = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def version() -> str:
    """Return the version of eSpeak NG, such as `1.52.0`."""
    with _private_copy() as library:
        library.espeak_Info.restype = ctypes.c_char_p
        return str(library.espeak_Info(None).decode())


def phonemes(words: Sequence[str], accent: str) -> list[tuple[str, ...]]:
    """Return the phonemes of words in an accent, by the engine's own names, those of stressed vowels with `'` before them."""
    found: list[tuple[str, ...]] = []
    with _private_copy() as library:
        library.espeak_SetVoiceByName(f"gmw/{accent}".encode())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        for word in words:
            text = ctypes.c_char_p(word.encode())
            spelled = library.espeak_TextToPhonemes(ctypes.byref(text), _CHARACTERS_ARE_UTF8, ord(_BETWEEN) << 8)
            found.append(tuple(spelled.decode().strip(_BETWEEN).split(_BETWEEN)))
    return found


def in_brackets(names: Sequence[str]) -> str:
    """Write phonemes as a text for `synthesize`, which speaks them as they are."""
    return f"[[{'|'.join(names)}]]"


def synthesize(text: str, *, accent: str, timbre: str, rate: int, pitch: int, melody: int) -> tuple[NDArray[np.int16], list[Mark]]:
    """Speak a text: (S,) samples at `SAMPLE_RATE`, and a mark for each phone. What stands in `[[…]]` are phonemes.

    `accent` is a language file of the engine (`en-US`), `timbre` a variant file (`f1`), `rate` in words per minute, the others 0 to 99.
    """
    _check_voice(accent, timbre)
    chunks: list[NDArray[np.int16]] = []
    events: list[tuple[int, int, int, bytes]] = []

    def listen(samples: Any, count: int, first: Any) -> int:  # noqa: ANN401 - ctypes pointers
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        said = itertools.takewhile(lambda event: event.type != _END_OF_LIST, (first[i] for i in itertools.count()))
        events.extend((event.type, event.sample, event.text_position - 1, event.id.string) for event in said)
        return 0

    listener = _Listener(listen)  # held here, for the library does not hold it
    with _private_copy() as library:
        library.espeak_SetSynthCallback(listener)
        library.espeak_SetVoiceByName(f"gmw/{accent}+{timbre}".encode())
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_MELODY, melody)):
            library.espeak_SetParameter(parameter, value, 0)
        spoken, flags = text.encode(), _TEXT_IS_UTF8 | _BRACKETS_HOLD_PHONEMES
        library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 1, 0, flags, None, None)
    end = events[-1][1] if events else 0  # beyond it lies what was left in the buffer
    marks = [Mark(at, name.decode(), word) for kind, at, word, name in events if kind == _PHONE]
    return np.concatenate([np.zeros(0, dtype=np.int16), *chunks])[:end], marks


@contextmanager
def _private_copy() -> Iterator[ctypes.CDLL]:
    """Load a copy of the library with a state of its own; unload it at the end."""
    loader = _loader()
    original = Path(loader.get_library_path())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            library = ctypes.CDLL(str(shutil.copy(original, folder)))
        except OSError as error:
            msg = f"cannot load eSpeak NG ({error}): set TMPDIR to a folder with room, from which programs may run (not mounted noexec)"
            raise UserError(msg) from error
        try:
            data = Path(loader.get_data_path())
            options = _PHONE_EVENTS | _PHONES_IN_IPA | _DO_NOT_EXIT
            if library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), options) != SAMPLE_RATE:
                msg = f"eSpeak NG cannot read its data in {data} (a path over 160 characters is too long for it): install foresay elsewhere"
                raise UserError(msg)
            yield library
            library.espeak_Terminate()
        finally:
            if sys.platform == "win32":
                _ctypes.FreeLibrary(library._handle)  # noqa: SLF001 - ctypes has no public way to unload
            else:
                _ctypes.dlclose(library._handle)  # noqa: SLF001


def _check_voice(accent: str, timbre: str) -> None:
    """The engine itself would silently speak with another voice."""
    data = Path(_loader().get_data_path())
    for kind, name, folder in (("accent", accent, data / "lang" / "gmw"), ("timbre", timbre, data / "voices" / "!v")):
        names = [file.name for file in folder.iterdir()]
        if name not in names:
            msg = f"eSpeak NG has no {kind} {name!r}: {nearest(name, names)}"
            raise UserError(msg)


def _loader() -> Any:  # noqa: ANN401 - the package carries no types
    with optional("espeakng_loader", "demo", "eSpeak NG, which speaks the embedded corpus,"):
        import espeakng_loader  # noqa: PLC0415 - an optional extra
    return espeakng_loader
