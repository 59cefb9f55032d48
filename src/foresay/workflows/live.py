"""Transcripts that appear while the audio goes in: of files read chunk after chunk, or of samples from a pipe, such as a microphone's."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from foresay import progress
from foresay.audio.read import Waveform
from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import SHORTEST
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import AudioError, UserError
from foresay.training.devices import find_process
from foresay.workflows.transcribe import load_recognizer, manifest_of

CHUNK = 0.1
"""Seconds of audio that go in at once."""
PIPE = "-"
"""The source that is a pipe."""
_HEADERS = (b"RIFF", b"fLaC", b"OggS", b"ID3")


def transcribe_live(
    model: str | Path | Recognizer,
    sources: Sequence[str | Path],
    search: SearchSettings | None = None,
    *,
    device: str | None = None,
    pipe: BinaryIO | None = None,
    unreadable: dict[str, AudioError] | None = None,
) -> Iterator[str]:
    """Yield text as soon as it is certain. All pieces, joined, are what `transcribe` writes as txt: a line of id, tab and text each.

    Args:
        model: A recognizer on an encoder that does not look ahead, or its name.
        sources: Files, folders, manifests, or `-`, the pipe.
        search: The best path, or one over symbols.
        device: As of PyTorch; None: a GPU if there is one.
        pipe: 16-bit samples, little-endian, one channel, at the recognizer's rate.
        unreadable: Takes in what cannot be read to its end, or is too short, by its id, and why; without it, the first is an error.

    Raises:
        UserError: recognizer or search need the whole utterance, or the pipe holds something else.
        AudioError: a recording cannot be read.
    """
    place = str(find_process(device).device)
    recognizer = model if isinstance(model, Recognizer) else load_recognizer(model, place)
    decoder = Decoder(recognizer, search or SearchSettings(), place)
    decoder.stream()  # or it is refused before anything is read
    for note in decoder.notes:
        progress.say(note)
    for source in map(Path, sources):
        if str(source) == PIPE and pipe:
            yield from _line(PIPE, _piped(pipe, recognizer.sample_rate), decoder, place)
            continue
        with manifest_of(source, unreadable) as manifest:
            for index, name in enumerate(manifest.ids):
                try:
                    yield from _line(name, _chunks(manifest, index, recognizer), decoder, place)
                except AudioError as error:
                    if unreadable is None:
                        raise
                    unreadable[name] = error


def _line(name: str, chunks: Iterator[Waveform], decoder: Decoder, device: str) -> Iterator[str]:
    """Yield the line of a recording in pieces; it ends where the recording cannot be read any further."""
    stream, said, begin = decoder.stream(), "", f"{name}\t"
    try:
        for chunk in chunks:
            text = stream.push(torch.from_numpy(chunk).to(device)).text
            if begin or text != said:
                yield begin + text[len(said) :]
            said, begin = text, ""
    except AudioError:
        if not begin:
            yield "\n"
        raise
    yield begin + stream.finish().text[len(said) :] + "\n"


def _chunks(manifest: Manifest, index: int, recognizer: Recognizer) -> Iterator[Waveform]:
    rate = recognizer.sample_rate
    length, size = int(manifest.lengths(rate)[index]), round(CHUNK * rate)
    if length < SHORTEST * rate or not recognizer.frame_count(torch.tensor([length]), recognizer.layer_names[0]):
        msg = f"it lasts {manifest.durations[index]:.3g} s, in which there is no frame"
        raise AudioError(msg)
    for start in range(0, length, size):
        yield manifest.read(index, rate, start, min(start + size, length))


def _piped(pipe: BinaryIO, rate: int) -> Iterator[Waveform]:
    """Read chunks of 16-bit samples to the end; half a sample at the end is none."""
    begun = False
    while content := pipe.read(2 * round(CHUNK * rate)):
        if not begun and content.startswith(_HEADERS):
            msg = (
                f"the pipe holds a file with a header, and takes samples alone: 16 bits, little-endian, one channel, {rate} Hz, as of "
                f"`arecord -f S16_LE -r {rate} -c 1` or `ffmpeg -i FILE -f s16le -ar {rate} -ac 1 -`. Or name the file as the source"
            )
            raise UserError(msg)
        begun = True
        yield np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / np.float32(2**15)
