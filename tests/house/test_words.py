"""Words: the table in CONTRIBUTING.md lists those that are not used, and the first line of a model's file names its method."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.tree import MODELS, ROOT, name, parsed, repository_files

GUIDE = ROOT / "CONTRIBUTING.md"
ROW = re.compile(r"^\| `([^`]+)` \|.*\n?", re.MULTILINE)
PLACES = ("src", "tests", "docs", "benchmarks")
TEXT = {".css", ".html", ".js", ".md", ".py", ".toml", ".txt", ".yml"}

POSITION = "the position in a file, Python's own name for it"
SPOKEN = "a sentence that is spoken"
NAME = "what the name Foresay means"
ALLOWED = {
    "README.md": {"tell": NAME},
    "docs/index.md": {"tell": NAME},
    "src/foresay/audio/content.py": {"tell": POSITION},
    "src/foresay/audio/sound.py": {"tell": POSITION},
    "src/foresay/corpora/made/sentences.py": {"heard": SPOKEN},
    "src/foresay/negatives/__init__.py": {"heard": "an option of older models"},
    "src/foresay/shards.py": {"tell": POSITION},
    "src/foresay/training/trainer.py": {"told": "a key of saved states"},
    "tests/audio/test_read.py": {"tell": POSITION},
    "tests/audio/test_voice.py": {"heard": SPOKEN, "tell": SPOKEN},
    "tests/negatives/test_samplers.py": {"heard": "an option of older models"},
    "tests/test_shards.py": {"tell": POSITION},
}
"""File -> word -> why it may stand there."""


def _section() -> str:
    """Return the section of the guide that holds the table."""
    guide = GUIDE.read_text(encoding="utf-8")
    return guide[guide.index("\n## Words\n") + 1 :].split("\n## ", 1)[0]


def _pattern(words: list[str]) -> re.Pattern[str]:
    """Match the words in prose and in names, in large and in small letters, over the ends of lines."""
    longest_first = sorted(words, key=len, reverse=True)
    spelled = "|".join(r"[\s_]+".join(map(re.escape, word.split())) for word in longest_first)
    return re.compile(rf"(?<![A-Za-z])(?:{spelled})(?![A-Za-z])", re.IGNORECASE)


BANNED = _pattern(ROW.findall(_section()))


def _texts() -> Iterator[tuple[str, str]]:
    """Yield every file that is read by people, by its name, without the table and without this file."""
    for path in repository_files():
        inside = name(path).split("/")[0] in PLACES and path.suffix in TEXT and path != Path(__file__)
        if inside or name(path) in {"README.md", GUIDE.name}:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield name(path), ROW.sub("", text) if path == GUIDE else text


def _found(text: str) -> list[str]:
    return [" ".join(match[0].lower().replace("_", " ").split()) for match in BANNED.finditer(text)]


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_the_table_is_read_and_words_are_found_in_prose_and_in_names() -> None:
    assert len(ROW.findall(_section())) > 10
    assert _found("What he HEARD, and _is_told(told\n    apart), Foretells\nlaid over") == [
        "heard",
        "told",
        "told apart",
        "foretells",
        "laid over",
    ]
    assert not _found("A hearty teller foretasted the shear; unheard.")


def test_the_words_of_the_table_are_not_used() -> None:
    used = {(file, word) for file, text in _texts() for word in _found(text)}
    allowed = {(file, word) for file, words in ALLOWED.items() for word in words}
    assert not sorted(used - allowed)
    assert not sorted(allowed - used), "allowed, and no longer used"


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_the_first_line_of_a_model_begins_with_the_name_of_its_method(model: Path) -> None:
    docstring = parsed(model).body[0]
    first = model.read_text(encoding="utf-8").splitlines()[0]
    assert docstring.lineno == 1
    method, colon, rest = first.partition(": ")
    assert _letters(model.stem) in _letters(method)
    assert colon
    assert len(rest.split()) > 2, "and it says what the method is"
