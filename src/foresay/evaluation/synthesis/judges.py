"""Judges of intelligibility: what writes down what it understands, a recognizer of ours or Whisper (through faster-whisper).

    runs/asr, hf:NAME    a recognizer, by its best path; texts are compared as it writes them
    whisper:FOLDER       a model of faster-whisper (model.bin, config.json, tokenizer.json), by its best path, kept from writing digits

A judge that was trained on other voices, and never on synthesized ones, is independent of what it judges.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from foresay.contracts import Recognizer
from foresay.corpora.item import UNKNOWN, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import UserError, with_article
from foresay.evaluation.recognition.wer import WordErrorRate
from foresay.extras import optional
from foresay.fingerprint import fingerprint, of_file, of_model
from foresay.loading import is_foreign, load, locate
from foresay.progress import ProgressBar
from foresay.statistics.word_errors import Compared
from foresay.text.normalization import Normalizer

WHISPER = "whisper:"
WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
WHISPER_RATE = 16_000
NUMERALS = frozenset("0123456789%$£€")
"""Characters that no transcript writes, and Whisper would: it is made to write words."""


class Judge(Protocol):
    """What writes down what it understands."""

    fingerprint: str

    def compare(self, manifest: Manifest) -> list[Compared]:
        """Transcribe the recordings that have a text.

        Raises:
            UserError: there is none.
        """


def files_of(judge: str) -> list[Path]:
    """Return the files that a judge is made of, as far as they lie here.

    Raises:
        UserError: they are not there.
    """
    if judge.startswith(WHISPER):
        return [_whisper_folder(judge) / name for name in WHISPER_FILES]
    return list(locate(judge)) if judge and not is_foreign(judge) else []


def find_judge(judge: str, languages: Sequence[str], device: str) -> Judge:
    """Load a judge for speech of some languages.

    Raises:
        UserError: none is named, it recognizes no text, or Whisper is not to be had or cannot know the language.
    """
    if not judge:
        msg = (
            "who is to write down what is understood? Name a recognizer, --option intelligibility.judge=runs/asr, or a folder of "
            "faster-whisper, whisper:FOLDER; the number depends on it, so that none is the default"
        )
        raise UserError(msg)
    if judge.startswith(WHISPER):
        return WhisperJudge(_whisper_folder(judge), languages, device)
    model = load(judge, device)
    if not isinstance(model, Recognizer):
        msg = f"{judge} is {with_article(type(model))}, which recognizes no text: a judge is a recognizer (foresay finetune ctc-tiny …)"
        raise UserError(msg)
    return RecognizerJudge(model, device)


class RecognizerJudge:
    """A recognizer of ours."""

    def __init__(self, model: Recognizer, device: str) -> None:
        self.fingerprint = of_model(model)
        self._decoder, self._device = Decoder(model, SearchSettings(), device), device

    def compare(self, manifest: Manifest) -> list[Compared]:
        """Transcribe by the best path."""
        return WordErrorRate(WordErrorRate.protocols["greedy"]).compare(self._decoder, manifest, self._device)


class WhisperJudge:
    """Whisper (Radford et al., arXiv:2212.04356), greedily and without what it wrote before."""

    def __init__(self, folder: Path, languages: Sequence[str], device: str) -> None:
        known = [language for language in languages if language != UNKNOWN]
        if len(known) != 1 or len(languages) != 1:
            msg = (
                f"Whisper must know which language is spoken, and the manifest says {', '.join(languages)}: give each item its "
                '"language" (en, de, …), one for all, or name it: --option intelligibility.language=en'
            )
            raise UserError(msg)
        with optional("faster_whisper", "judge", "intelligibility judged by Whisper"):
            from faster_whisper import WhisperModel  # noqa: PLC0415 - an optional extra
        kind, _, index = device.partition(":")
        self._model: Any = WhisperModel(
            str(folder), device=kind, device_index=int(index or 0), compute_type="float32", cpu_threads=torch.get_num_threads()
        )
        self.fingerprint = fingerprint(*(of_file(folder / name) for name in WHISPER_FILES), known)
        tokens = self._model.hf_tokenizer
        written = ((number, tokens.decode([number])) for number in range(tokens.get_vocab_size()))
        self._how = {
            "language": known[0],
            "beam_size": 1,
            "temperature": 0.0,
            "condition_on_previous_text": False,
            "without_timestamps": True,
            "suppress_tokens": [-1, *(number for number, text in written if NUMERALS & set(text))],
        }

    def compare(self, manifest: Manifest) -> list[Compared]:
        """Transcribe by the best path. Both sides are compared in lower case, by their letters."""
        normalize = Normalizer("plain", "drop")
        references = {place: normalize(text) for place, item in enumerate(manifest) if (text := transcript_of(item))}
        if not any(references.values()):
            msg = f'{manifest.name} has no texts to compare with (the key "text"): import the corpus with its transcripts'
            raise UserError(msg)
        found = []
        for place, reference in ProgressBar(references.items(), "transcribing, Whisper", "recording", total=len(references)):
            segments, _ = self._model.transcribe(manifest.read(place, WHISPER_RATE), **self._how)
            item, text = manifest[place], normalize(" ".join(segment.text for segment in segments))
            found.append(Compared(item.id, item.speaker or item.id, reference, text))
        return found


def _whisper_folder(judge: str) -> Path:
    folder = Path(judge.removeprefix(WHISPER))
    if missing := [name for name in WHISPER_FILES if not (folder / name).is_file()]:
        msg = f"{folder} is no folder of faster-whisper: {', '.join(missing)} is missing there. It holds {', '.join(WHISPER_FILES)}"
        raise UserError(msg)
    return folder
