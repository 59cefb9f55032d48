"""The one exception for what a user can put right.

A message says four things: what came, what was expected, the usual cause, the way out.
The command line prints it without a traceback and ends with exit code 2.
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something in the input, the settings or the machine that the user can change."""


class AudioError(UserError):
    """A recording that cannot be used: missing, empty, truncated, not audio, not finite, …"""


def with_article(kind: type) -> str:
    """Name a class as a sentence does: an MFCC, a HuBERT."""
    name = kind.__name__
    vowels = "AEFHILMNORSX" if name[:2].isupper() else "AEIO"  # as they are spoken: letter by letter, or as a word
    return f"{'an' if name[0] in vowels else 'a'} {name}"


def at_least(least: int, **given: int) -> None:
    """Refuse numbers that are too small.

    Raises:
        UserError: one is; the message names it.
    """
    for name, value in given.items():
        if value < least:
            msg = f"{name} must be {least} or more, not {value}"
            raise UserError(msg)


def nearest(word: str, known: Iterable[str]) -> str:
    """End a message with what was probably meant.

    Examples:
        >>> nearest("trainr", ["trainer", "data"])
        'did you mean "trainer"? Known: data, trainer.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    return f"{hint}Known: {', '.join(names)}." if names else "There are none."
