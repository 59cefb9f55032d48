"""Broad classes of phones: vowels, approximants, nasals, fricatives, affricates, stops, silence; of ARPAbet, TIMIT's symbols and IPA."""

ORDER = ("vowel", "approximant", "nasal", "fricative", "affricate", "stop", "silence", "other")
"""From the most to the least sonorous."""

_ARPABET = {
    "vowel": "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h aar aor ayr ea ia ua oh",
    "approximant": "l r w y el wh",
    "nasal": "m n ng em en eng nx",
    "fricative": "s sh z zh f th v dh hh hv h",
    "affricate": "jh ch",
    "stop": "b d g p t k dx q",
    "silence": "bcl dcl gcl pcl tcl kcl cl vcl pau epi h# sil sp spn spl",
}
_IPA = {
    "vowel": "iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚɝ",  # noqa: RUF001 - letters of IPA
    "approximant": "ʋɹɻjɰlɭʎʟwʍɥrʀɽɫ",  # noqa: RUF001 - letters of IPA
    "nasal": "mɱnɳɲŋɴ",
    "fricative": "ɸβfvθðszʃʒʂʐɕʑçʝxɣχʁħʕhɦɬɮ",  # noqa: RUF001 - letters of IPA
    "stop": "pbtdʈɖcɟkɡgqɢʔɾ",  # noqa: RUF001 - letters of IPA
}
_SYMBOLS = {symbol: name for name, symbols in _ARPABET.items() for symbol in symbols.split()}
_LETTERS = {letter: name for name, letters in _IPA.items() for letter in letters}


def broad_class(phone: str) -> str:
    """Return the broad class of a phone, whatever its case, stress, length and diacritics.

    Examples:
        >>> [broad_class(phone) for phone in ("AH0", "tcl", "dx", "ŋ", "tʃ", "ø", "h#", "?")]
        ['vowel', 'silence', 'stop', 'nasal', 'affricate', 'vowel', 'silence', 'other']
    """
    plain = phone.lower().rstrip("0123456789")
    if plain in _SYMBOLS:
        return _SYMBOLS[plain]
    kinds = [_LETTERS[letter] for letter in plain if letter in _LETTERS]
    if kinds[:2] == ["stop", "fricative"]:
        return "affricate"
    return kinds[0] if kinds else "other"
