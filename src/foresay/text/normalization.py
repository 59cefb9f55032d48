"""Normalization of transcripts: one spelling for what is spoken alike, by named profiles, and every character that is lost is counted.

    librispeech   CAPITAL LETTERS A to Z and the apostrophe, as the transcripts of LibriSpeech
    plain         lower case, letters of any script and the apostrophe
    en, de, …     lower case, the letters of one language and the apostrophe; `PROFILES` has them

All of them apply NFKC (full-width and ligature forms), write any typographic apostrophe as ' and any white space as one space, and make
a space of punctuation, save for the full stops within `U.S.A.`. Digits, symbols such as %, and letters that the profile has not are read
aloud, so that a transcript without them would not be what was said: they are refused, or dropped, or mapped, as the user chooses.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from foresay.errors import UserError, nearest

Outside: TypeAlias = Literal["refuse", "drop", "map"]
"""What becomes of a digit, a symbol or a letter that a profile has not."""

LATIN = "abcdefghijklmnopqrstuvwxyz"
PROFILES: Mapping[str, str | None] = MappingProxyType(
    {
        "librispeech": LATIN.upper(),
        "plain": None,
        "en": LATIN,
        "de": LATIN + "äöüß",
        "nl": LATIN + "áéíóúèëïöü",
        "fr": LATIN + "àâæçéèêëîïôœùûüÿ",
        "es": LATIN + "áéíñóúü",
        "it": LATIN + "àèéìíîòóùú",
        "pt": LATIN + "àáâãçéêíóôõú",
        "pl": LATIN + "ąćęłńóśźż",
        "cs": LATIN + "áčďéěíňóřšťúůýž",
        "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    }
)
"""The letters of each profile; None: those of any script."""

APOSTROPHE = "'"
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u02bc\u2032\u00b4\u0060\u201b\uff07"), APOSTROPHE)
_READ_ALOUD = frozenset("%&@#§‰")
"""What Unicode counts among punctuation, and people say."""
_ABBREVIATION = re.compile(r"(?<!\w)(\w)\.(?=\w)")
_LONE = re.compile(rf"(?<!\w){APOSTROPHE}+(?!\w)")
_WRITTEN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}  # noqa: RUF001
"""Letters that do not decompose, as they are written without them."""
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN"})
"""Scripts with letters that look the same: in one word there is but one of them."""
_SHOWN = 8


@dataclass
class Normalizer:
    """Applies a profile, and counts what it drops."""

    profile: str
    outside: Outside = "refuse"
    table: Mapping[str, str] = field(default_factory=dict)
    """With `map`: what is written for a character, such as {"%": "percent"}. Letters lose accents that the profile has not."""
    dropped: Counter[str] = field(default_factory=Counter)
    """How often each character was left out, punctuation too."""

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            msg = f"there is no normalization {self.profile!r}: {nearest(self.profile, PROFILES)}"
            raise UserError(msg)
        letters = PROFILES[self.profile]
        self._letters = None if letters is None else frozenset(letters)

    def __call__(self, text: str, where: str = "the text") -> str:
        """Normalize a text; the result is words with one space between them, perhaps none. `where` it stands begins messages.

        Raises:
            UserError: a character is outside the profile, and is to be refused, or mapped and there is nothing to map it to.
        """
        plain = self._case(unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)))
        plain = _ABBREVIATION.sub(r"\1", plain)
        foreign = _foreign(plain) if self._letters is None else frozenset()
        strange = Counter(character for character in plain if self._is_outside(character, foreign))
        if strange and self.outside == "refuse":
            raise UserError(self._refusal(where, strange))
        written = {ord(character): self._instead(character, where) for character in strange}
        for character in plain:
            if character != APOSTROPHE and not character.isspace() and not self._has(character):
                written.setdefault(ord(character), " " if unicodedata.category(character)[0] == "P" else "")
        self.dropped.update(c for c in plain if ord(c) in written and not written[ord(c)].strip())
        kept = plain.translate(written)
        self.dropped.update({APOSTROPHE: sum(len(lone) for lone in _LONE.findall(kept))})
        self.dropped += Counter()  # without those of which there are none
        return " ".join(_LONE.sub(" ", kept).split())

    def every(self, texts: Iterable[str], where: str = "line") -> list[str]:
        """Normalize texts, numbered from 1 in messages."""
        return [self(text, f"{where} {number}") for number, text in enumerate(texts, 1)]

    def _case(self, text: str) -> str:
        return text.upper() if self.profile == "librispeech" else unicodedata.normalize("NFKC", text.lower())

    def _has(self, character: str) -> bool:
        return unicodedata.category(character)[0] in "LM" if self._letters is None else character in self._letters

    def _is_outside(self, character: str, foreign: frozenset[str]) -> bool:
        """Whether a character is read aloud, and the profile has it not."""
        if self._has(character):
            return character in foreign
        return character != APOSTROPHE and (character in _READ_ALOUD or unicodedata.category(character)[0] in "LMNS")

    def _instead(self, character: str, where: str) -> str:
        """Return what is written for a character outside."""
        if self.outside == "drop":
            return ""
        if character in self.table:
            said = self._case(self.table[character])
            return said if unicodedata.category(character)[0] in "LM" else f" {said} "
        plain = _WRITTEN.get(character.lower()) or "".join(
            c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
        )
        plain = self._case(plain)
        if plain == character or not all(map(self._has, plain)):
            msg = f"{where} has {_named(character)}, and the table does not map it: add it there, or write it as it is said"
            raise UserError(msg)
        return plain

    def _refusal(self, where: str, strange: Counter[str]) -> str:
        found = ", ".join(f"{_named(c)} {n} time{'s' * (n > 1)}" for c, n in strange.most_common(_SHOWN))
        more = f", and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        return (
            f"{where} has {found}{more}, which the normalization {self.profile!r} does not. Digits and signs are to be written as they are "
            "said; a letter of another script was perhaps typed for one that looks like it; another language has a profile of its own "
            f"({', '.join(PROFILES)}). Otherwise choose `drop` (they are left out and counted) or `map`"
        )


def refuse_other_profile(model: str, own: str | None, profile: str | None) -> None:
    """Make sure that the texts of a language model were normalized as those are that it is used on, where both are known.

    Raises:
        UserError: they were not; the message names the `model`, with its `own` profile.
    """
    if None not in {own, profile} and own != profile:
        msg = (
            f"the language model {model} is of texts normalized by {own!r}, and these are normalized by {profile!r}: it would not know all "
            "of their words. Make one of texts that are normalized alike"
        )
        raise UserError(msg)


def _named(character: str) -> str:
    return f"{character!r} ({unicodedata.name(character, f'U+{ord(character):04X}')})"


def _foreign(text: str) -> frozenset[str]:
    """Find the letters of words in two scripts that look alike, in the script that has fewer of the word's."""
    found: set[str] = set()
    for word in set(text.split()):
        scripts = {letter: unicodedata.name(letter, "").partition(" ")[0] for letter in word if letter.isalpha()}
        counts = Counter(scripts[letter] for letter in word if scripts.get(letter) in _ALIKE)
        if len(counts) > 1:
            most = counts.most_common(1)[0][0]
            found |= {letter for letter, script in scripts.items() if script in _ALIKE and script != most}
    return frozenset(found)
