"""Files as disks, editors and strangers leave them: mutated at random, always the same."""

import json
import random
from collections.abc import Iterator

WORDS = (
    *(b"", b"\xff", b"\x00", b'"', b"[", b"]", b"{", b"}", b"[[", b"= [", b"null", b"true", b"-1", b"1e999", b"nan", b"9" * 30, b"\n"),
    *(b"\xef\xbb\xbf", b"\\ud800"),
)


def mutations(content: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """Mutate a file's bytes: flip, cut, insert, replace, repeat."""
    drawn = random.Random(seed)
    yield b""
    yield content[: len(content) // 2]
    yield b"[" * 100_000
    yield content.decode("latin1").encode("utf-16")
    for _ in range(number):
        mutated = bytearray(content)
        for _ in range(drawn.randint(1, 3)):
            at = drawn.randrange(len(mutated)) if mutated else 0
            match drawn.randrange(4):
                case 0:
                    mutated[at : at + 1] = bytes([drawn.randrange(256)])
                case 1:
                    mutated[at : at + drawn.randint(0, 9)] = drawn.choice(WORDS)
                case 2:
                    del mutated[at:]
                case _:
                    mutated[at:at] = mutated[at : at + drawn.randint(1, 40)]
        yield bytes(mutated)


def shapes(text: str, number: int, seed: int = 0) -> Iterator[str]:
    """Mutate an object of JSON into valid JSON of another shape: values of other types, keys lost."""
    drawn = random.Random(seed)
    for _ in range(number):
        content = json.loads(text)
        inner, key = _somewhere(content, drawn)
        if drawn.random() < 0.2:
            del inner[key]
        else:
            inner[key] = drawn.choice([None, True, 0, -1, 10**30, 1.5, float("inf"), "", "x", [], {}, [1], {"a": 1}, ["x", None], 10**6])
        yield json.dumps(content)


def _somewhere(content: dict[str, object], drawn: random.Random) -> tuple[dict[str, object], str]:
    key = drawn.choice(sorted(content))
    value = content[key]
    if isinstance(value, dict) and value and drawn.random() < 0.8:
        return _somewhere(value, drawn)
    return content, key
