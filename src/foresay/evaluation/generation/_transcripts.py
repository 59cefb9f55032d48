"""Samples of a language model of units, spoken by a vocoder, transcribed by a recognizer, and scored by a language model of text.

units --> vocoder --> speech --> recognizer, by its best path --> words --> language model --> log p of each word, and of the end
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Encoded, LanguageModel, Recognizer, Synthesizer, TokenModel, Tokens
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import UserError, with_article
from foresay.loading import ARPA, is_foreign, load, load_language_model, locate
from foresay.progress import ProgressBar
from foresay.statistics.estimates import Floats
from foresay.text.normalization import refuse_other_profile
from foresay.text.perplexity import perplexity

TOGETHER = 8
"""Samples that are spoken at once."""


@dataclass(frozen=True)
class TranscriptScorer:
    """Who speaks, writes and judges, each by its path."""

    vocoder: str
    voice: str
    """Empty: the first that the vocoder knows."""
    recognizer: str
    language_model: str

    @classmethod
    def of(cls, vocoder: str, voice: str, recognizer: str, language_model: str) -> Self | None:
        """Make one, if they are named."""
        return cls(vocoder, voice, recognizer, language_model) if vocoder else None

    @property
    def files(self) -> list[Path]:
        """The files that they are made of, as far as they lie here.

        Raises:
            UserError: one is no model.
        """
        own = [name for name in (self.vocoder, self.recognizer, self.language_model) if not is_foreign(name)]
        return [file for name in own for file in ([Path(name)] if name.endswith(ARPA) else locate(name))]

    def transcripts(
        self, model: TokenModel, samples: Mapping[str, Sequence[Tensor]], device: str
    ) -> tuple[dict[str, list[list[str]]], dict[str, tuple[Floats, Floats]]]:
        """Transcribe samples (U,) of units, and score the words: of each kind of samples the words, and nats (N,) and symbols (N,).

        Raises:
            UserError: a path leads to another kind of model, the voice is unknown, or the units are those of another tokenizer.
        """
        vocoder, recognizer = load(self.vocoder, device), load(self.recognizer, device)
        for found, wanted, path in ((vocoder, Synthesizer, self.vocoder), (recognizer, Recognizer, self.recognizer)):
            if not isinstance(found, wanted):
                msg = f"{path} is {with_article(type(found))}, and must be {with_article(wanted)}"
                raise UserError(msg)
        judge = load_language_model(self.language_model, device)
        refuse_other_profile(self.language_model, judge.normalization, recognizer.normalization)
        decoder, voices = Decoder(recognizer, SearchSettings(), device), self._voices(vocoder)
        texts: dict[str, list[list[str]]] = {}
        scored: dict[str, tuple[Floats, Floats]] = {}
        for name, some in ProgressBar(samples.items(), "speaking and transcribing", "temperature", total=len(samples)):
            written = [text for part in _parts(some) for text in self._write(model, vocoder, decoder, part, voices)]
            texts[name] = [judge.split(text) for text in written]
            nats = [_nats(judge, words) for words in texts[name]]
            scored[name] = np.array(nats), np.array([len(words) + 1.0 for words in texts[name]])
        return texts, scored

    def _voices(self, vocoder: Synthesizer) -> Tensor:
        known = vocoder.speaker.names
        if not (self.voice or known):
            msg = f"{self.vocoder} knows no voice by name, so that nobody can speak: train it on a corpus whose items say who speaks"
            raise UserError(msg)
        return vocoder.speaker.of_names([self.voice or known[0]])

    @torch.no_grad()
    def _write(self, model: TokenModel, vocoder: Synthesizer, decoder: Decoder, some: Sequence[Tensor], voices: Tensor) -> list[str]:
        """Speak and transcribe some samples; an empty one is nothing."""
        spoken = [place for place, units in enumerate(some) if len(units)]
        texts = [""] * len(some)
        if not spoken:
            return texts
        ids = pad_sequence([some[place] for place in spoken], batch_first=True)[:, None]
        lengths, tokenizer = torch.tensor([len(some[place]) for place in spoken]), model.tokenizer
        tokens = Tokens(ids.to(voices.device), lengths, tokenizer.vocabulary, tokenizer.fingerprint)
        speech = vocoder.synthesize(tokens, voices.expand(len(spoken), -1))
        recognizer = decoder.recognizer
        (layer,) = recognizer.layer_names
        for place, waveform, length in zip(spoken, speech.waveforms, speech.lengths.tolist(), strict=True):
            samples = soxr.resample(waveform[:length].float().cpu().numpy(), vocoder.sample_rate, recognizer.sample_rate)
            given = torch.from_numpy(samples)[None].to(voices.device)
            if int(recognizer.frame_count(torch.tensor([given.shape[1]]), layer)[0]) < 1:
                continue
            frames = recognizer.features(given, torch.tensor([given.shape[1]], device=given.device), (layer,))
            ((best, *_),) = decoder(Encoded(frames.values[layer], frames.lengths[layer]))
            texts[place] = best.text
        return texts


def _parts(samples: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    return [samples[first : first + TOGETHER] for first in range(0, len(samples), TOGETHER)]


def _nats(judge: LanguageModel, words: list[str]) -> float:
    """Return -log p of words and of their end."""
    if not words:
        return -float(judge.end(torch.tensor([judge.start]))[0])
    found = perplexity(judge, [words], len(words))
    return found.nats + found.nats_unknown + found.nats_ends
