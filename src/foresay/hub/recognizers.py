"""CTC recognizers of the Hugging Face hub (Wav2Vec2ForCTC, HubertForCTC, WavLMForCTC), read into our own CTC and written from it.

Beside what the folder of an encoder holds (`folders.py`), the weights have an `lm_head`, and there are

    vocab.json               the number of each symbol: which row of `lm_head` scores it
    tokenizer_config.json    which symbols are the blank (the padding), the word boundary, or special: never part of a text
    processor_config.json    how waveforms are prepared, as transformers 5 reads it; preprocessor_config.json, as 4 does

Here the blank is symbol 0, whatever its number there, and special symbols have no row: they are never written, as a search must not.
How texts are normalized stands in no such file. It is known where the letters are exactly those of one profile, or where `config.json`
says it ("foresay": {"normalization": …}), as those written here do.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from foresay.contracts import Recognizer
from foresay.errors import UserError
from foresay.hub._tensors import Tensors, misfit
from foresay.hub.folders import (
    CONFIG,
    KINDS,
    PREPROCESSOR,
    PROCESSOR,
    config_of,
    family_of,
    preprocessor_of,
    read_checkpoint,
    read_config,
    read_json,
    write_json,
    write_tensors,
)
from foresay.hub.wav2vec2 import assemble, exported
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.representation._masked_transformer import MaskedTransformer
from foresay.settings import Table, from_table
from foresay.text.normalization import APOSTROPHE, PROFILES
from foresay.text.vocabulary import BLANK, BOUNDARY, Kind, is_special

VOCABULARY, TOKENIZER, ADDED, SPECIAL = "vocab.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
HEAD = "lm_head"
PHONES = "Wav2Vec2PhonemeCTCTokenizer"
TOKENIZERS = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer", PHONES)
SAID = ("units", "normalization", "outside")
"""What transformers has no word for, and stands in config.json under "foresay"."""
PADDING = "<pad>"
ROLES = {"pad_token": PADDING, "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "word_delimiter_token": BOUNDARY}
"""Symbols with a task, as transformers calls them where nothing is said."""


@dataclass(frozen=True)
class _Written:
    """The symbols of a folder."""

    names: tuple[str, ...]
    """Of each row of `lm_head`."""
    blank: int
    """The row of the blank."""
    special: frozenset[str]
    boundary: str | None
    phones: bool

    @property
    def rows(self) -> list[int]:
        """The rows that are kept, the blank first."""
        return [self.blank, *(row for row, name in enumerate(self.names) if row != self.blank and name not in self.special)]

    @property
    def symbols(self) -> tuple[str, ...]:
        """What the kept rows score, as we call it."""
        kept = (self.names[row] for row in self.rows[1:])
        return (BLANK, *(BOUNDARY if name == self.boundary else name for name in kept))


def is_recognizer(config: Mapping[str, Any]) -> bool:
    """Whether a configuration of transformers is of a CTC recognizer."""
    kinds = config.get("architectures")
    return isinstance(kinds, list) and any(str(kind).endswith("ForCTC") for kind in kinds)


def read_recognizer(folder: Path, overrides: Mapping[str, Any]) -> CTC:
    """Read a recognizer. `overrides`: settings that shall be otherwise, its own (`normalization`, …) or its encoder's (`standardize`, …).

    Raises:
        UserError: something is missing or does not fit, or it is not known how its texts are normalized.
    """
    config = read_config(folder)
    found, heads = read_checkpoint(folder)
    own = {field.name for field in fields(CTCSettings)}
    for_encoder = {name: value for name, value in overrides.items() if name not in own}
    if missing := [name for name in (f"{HEAD}.weight", f"{HEAD}.bias") if name not in heads]:
        named = misfit(str(folder), missing)
        msg = f"{named}. A recognizer needs its head; to use the encoder alone, name hf:{folder}#encoder"
        raise UserError(msg)
    written = _read_symbols(folder, config, len(heads[f"{HEAD}.weight"]))
    table = _settings(folder, config, written) | {name: value for name, value in overrides.items() if name in own}
    if "normalization" not in table:
        table["normalization"] = _normalization(folder, table["symbols"], table["units"])
    settings = from_table(CTCSettings, table, str(folder))
    encoder = assemble(found, for_encoder).eval()
    model = CTC(settings, encoder)
    try:
        model.head.load_state_dict({name: heads[f"{HEAD}.{name}"][written.rows].float() for name in ("weight", "bias")})
    except RuntimeError as error:
        shape = list(heads[f"{HEAD}.weight"].shape)
        wanted = model.head.in_features
        msg = f"{folder}: {HEAD}.weight has the shape {shape}, and the encoder gives {wanted} features: were two checkpoints mixed?"
        raise UserError(msg) from error
    return model


def _settings(folder: Path, config: Table, written: _Written) -> Table:
    """Say what stands in a folder as settings of ours."""
    said = config.get("foresay", {})
    if not isinstance(said, dict) or set(said) - set(SAID):
        msg = f'{folder / CONFIG}: "foresay" must be an object of {", ".join(SAID)}, not {said!r}'
        raise UserError(msg)
    table: Table = {"symbols": list(written.symbols), "units": _units(folder, written), "dropout": config.get("final_dropout", 0.0)}
    for kind, words in {"mask": "time", "channel": "feature"}.items():
        length, covered = config.get(f"mask_{words}_length", 10), config.get(f"mask_{words}_prob", 0.0)
        if type(length) is int and length > 0 and isinstance(covered, float | int):  # else there are no masks to speak of
            table |= {f"{kind}_length": length, f"{kind}_probability": covered / length}
    return table | said


def _units(folder: Path, written: _Written) -> Kind:
    longer = [symbol for symbol in written.symbols[1:] if len(symbol) > 1]
    if written.phones or BOUNDARY not in written.symbols:
        return "phones"
    if not longer:
        return "letters"
    msg = (
        f"{folder / VOCABULARY} has symbols of several letters, such as {longer[0]!r}, beside the word boundary {written.boundary!r}: "
        "neither letters nor phones. Foresay reads vocabularies of single letters with a boundary, or of phones without one"
    )
    raise UserError(msg)


def _normalization(folder: Path, symbols: list[str], units: Kind) -> str:
    """Find the profile whose letters a vocabulary has, or refuse to guess."""
    letters = set(symbols) - {BLANK, BOUNDARY, APOSTROPHE}
    exact = [name for name, known in PROFILES.items() if known is not None and set(known) == letters]
    if units == "phones":
        return CTCSettings.normalization  # texts of phones are not normalized
    if exact:
        return exact[0]
    msg = (
        f"{folder} does not say how its texts are normalized, and its {len(letters)} letters ({' '.join(sorted(letters))[:80]}) are "
        f"exactly those of no profile. Choose one of {', '.join(PROFILES)}: foresay.load(NAME, normalization=PROFILE), or write it into "
        f'{CONFIG}: "foresay": {{"normalization": PROFILE}}'
    )
    raise UserError(msg)


def _read_symbols(folder: Path, config: Table, rows: int) -> _Written:
    """Read which symbol each row of the head scores, and what is the task of some."""
    described = read_json(folder / TOKENIZER) if (folder / TOKENIZER).is_file() else {}
    kind = described.get("tokenizer_class", TOKENIZERS[0])
    if kind not in TOKENIZERS:
        msg = f"{folder} has the tokenizer {kind!r}, which Foresay does not know: it reads those of CTC ({', '.join(TOKENIZERS)})"
        raise UserError(msg)
    if not (folder / VOCABULARY).is_file():
        msg = f"{folder} has no {VOCABULARY}, which says what its head writes: copy the tokenizer's files too, or name hf:{folder}#encoder"
        raise UserError(msg)
    numbered = _numbers(folder)
    roles = _roles(folder, described, numbered)
    names = {number: name for name, number in numbered.items()}
    beyond = [name for name, number in numbered.items() if number >= rows and name not in roles.values() and not is_special(name)]
    if beyond or set(range(rows)) - set(names) or len(names) < len(numbered):
        count = len(numbered)
        msg = f"{folder / VOCABULARY} numbers {count} symbols, and {HEAD} scores {rows}: each must have one. Were two models mixed?"
        raise UserError(msg)
    padding, boundary = roles["pad_token"], roles.pop("word_delimiter_token", None)
    blank = config.get("pad_token_id", numbered[padding])
    if numbered[padding] != blank or blank >= rows:
        msg = (
            f"{folder}: the blank is symbol {blank} in {CONFIG} (pad_token_id), and {numbered[padding]} in {VOCABULARY} ({padding!r}): "
            "one of them is of another model, and all would be written wrongly"
        )
        raise UserError(msg)
    special = frozenset(roles.values()) | {name for name in numbered if is_special(name)}
    return _Written(tuple(names[row] for row in range(rows)), blank, special, boundary, kind == PHONES)


def _numbers(folder: Path) -> dict[str, int]:
    """Read the numbers of symbols."""
    numbered = read_json(folder / VOCABULARY) | (read_json(folder / ADDED) if (folder / ADDED).is_file() else {})
    if not all(type(number) is int and number >= 0 for number in numbered.values()):
        msg = f"{folder / VOCABULARY} must number symbols from 0: if it has a table for each language, save the model with one of them"
        raise UserError(msg)
    return numbered


def _roles(folder: Path, described: Table, numbered: Mapping[str, int]) -> dict[str, str]:
    """Read which of the symbols have a task.

    Raises:
        UserError: none is the padding, which is the blank of CTC.
    """
    known = (read_json(folder / SPECIAL) if (folder / SPECIAL).is_file() else {}) | described
    stated = {role: known.get(role, name) for role, name in ROLES.items()}
    named = {role: value.get("content") if isinstance(value, dict) else value for role, value in stated.items()}
    if named["pad_token"] not in numbered:
        msg = f"{folder / VOCABULARY} lacks {named['pad_token']!r}, the padding and so the blank of CTC: is it of another model?"
        raise UserError(msg)
    return {role: str(name) for role, name in named.items() if name in numbered}


def write_recognizer(model: Recognizer, folder: Path) -> None:
    """Write a recognizer into an empty folder, as `transformers.AutoModelForCTC` and `AutoProcessor` read it.

    Raises:
        UserError: transformers has no such recognizer.
    """
    model, encoder = _exportable(model)
    s, family = model.settings, family_of(encoder)
    vocabulary = {symbol: number for number, symbol in enumerate((PADDING, *model.symbols[1:]))}
    network, _ = exported(encoder, family)
    head: Tensors = {f"{HEAD}.{name}": tensor for name, tensor in model.head.state_dict().items()}
    write_tensors({f"{family}.{name}": tensor for name, tensor in network.items()} | head, folder)
    config = config_of(encoder) | {
        "architectures": [f"{KINDS[family]}ForCTC"],
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "ctc_loss_reduction": "sum",
        "ctc_zero_infinity": True,
        "final_dropout": s.dropout,
        "mask_time_prob": s.mask_probability * s.mask_length,
        "mask_time_length": s.mask_length,
        "mask_feature_prob": s.channel_probability * s.channel_length,
        "mask_feature_length": s.channel_length,
        "foresay": {name: asdict(s)[name] for name in SAID},
    }
    write_json(folder / CONFIG, config)
    write_json(folder / VOCABULARY, vocabulary)
    tokenizer = {
        "tokenizer_class": TOKENIZERS[0],
        "pad_token": PADDING,
        "unk_token": PADDING,  # there is none, and one of its own would be a row that no head has
        "bos_token": None,
        "eos_token": None,
        "word_delimiter_token": BOUNDARY if model.boundary is not None else None,
        "replace_word_delimiter_char": " ",
        "do_lower_case": False,
    }
    write_json(folder / TOKENIZER, tokenizer)
    prepared = preprocessor_of(encoder)
    write_json(folder / PREPROCESSOR, prepared)
    write_json(folder / PROCESSOR, {"processor_class": "Wav2Vec2Processor", "feature_extractor": prepared})


def _exportable(model: Recognizer) -> tuple[CTC, MaskedTransformer]:
    """Return a recognizer that transformers has, too, and its encoder."""
    encoder = model.encoder if isinstance(model, CTC) else None
    if not isinstance(model, CTC) or not isinstance(encoder, MaskedTransformer):
        within = f" on {type(encoder).__name__}" if encoder else ""
        why = f"has no {type(model).__name__}{within}: it has CTC on wav2vec 2.0, HuBERT and WavLM"
    elif model.layers != encoder.layer_names[-1:] or model.settings.stack != 1:
        why = f"scores the last layer frame by frame, not {', '.join(model.layers)} (model.stack = {model.settings.stack})"
    elif model.lstm is not None:
        why = "has no LSTM between encoder and head (model.lstm)"
    elif model.settings.cmvn:
        why = "does not normalize features over the utterance (model.cmvn)"
    elif model.settings.units == "bpe":
        why = "has no tokenizer of CTC for subwords"
    elif PADDING in model.symbols[1:]:
        why = f"calls the blank {PADDING}, as another symbol is called here"
    else:
        return model, encoder
    msg = f"transformers {why}. So no folder of the Hugging Face hub can hold this recognizer: its run or model folder holds it whole"
    raise UserError(msg)
