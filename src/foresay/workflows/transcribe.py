"""Transcribe recordings with a recognizer, and write what was said in the formats of other programs."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from foresay.audio.read import audio_info
from foresay.contracts import Recognizer
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.corpora.reader import READABLE, UNREADABLE, files
from foresay.encoding.transcripts import Transcript, transcribed
from foresay.errors import AudioError, UserError
from foresay.files import make_folder, write_text
from foresay.loading import load
from foresay.reports.transcripts import TOGETHER, WRITERS, Format
from foresay.training.devices import find_process
from foresay.workflows.extract import safe_name

ENDINGS = {"srt": "srt", "textgrid": "TextGrid"}


def load_recognizer(name: str | Path, device: str = "cpu") -> Recognizer:
    """Load what turns speech into text.

    Raises:
        UserError: the model does not.
    """
    model = load(name, device)
    if not isinstance(model, Recognizer):
        kind = type(model).__name__
        msg = f"{name} is a {kind}, which recognizes no text: train a recognizer on it (foresay finetune ctc-tiny --encoder {name} …)"
        raise UserError(msg)
    return model


def transcribe(
    model: str | Path | Recognizer, source: str | Path, *, device: str | None = None, unreadable: dict[str, AudioError] | None = None
) -> Iterator[Transcript]:
    """Yield the transcript of every recording of `source`: a file, a folder with audio at any depth, or a manifest.

    `unreadable` takes in what cannot be read, by its id, and why; without it, that is an error.
    """
    place = str(find_process(device).device)
    recognizer = model if isinstance(model, Recognizer) else load_recognizer(model, place)
    with manifest_of(Path(source), unreadable) as manifest:
        failed: dict[int, AudioError] | None = None if unreadable is None else {}
        yield from transcribed(recognizer, manifest, place, failed)
        if unreadable is not None:
            unreadable |= {manifest.ids[index]: error for index, error in (failed or {}).items()}


def write_transcripts(transcripts: Iterable[Transcript], form: Format, dest: Path) -> list[Path]:
    """Write transcripts: into the file `dest`, or, of formats that hold one recording, each into a file of the folder `dest`.

    Raises:
        UserError: the file is there already, or two recordings would have one file.
    """
    write = WRITERS[form]
    if form in TOGETHER:
        if dest.exists():
            msg = f"{dest} is there already: choose another file, so that nothing of it is lost"
            raise UserError(msg)
        make_folder(dest.parent)
        write_text(dest, "".join(map(write, transcripts)))
        return [dest]
    written: list[Path] = []
    for transcript in transcripts:
        path = dest / safe_name(_stem(transcript.id), ENDINGS[form])
        if path.exists():
            msg = f"{path} is there already, or two recordings have one name: choose another folder, or transcribe a manifest"
            raise UserError(msg)
        make_folder(path.parent)
        write_text(path, write(transcript))
        written.append(path)
    return written


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if Path(name).suffix in READABLE else name


@contextlib.contextmanager
def manifest_of(source: Path, unreadable: dict[str, AudioError] | None = None) -> Iterator[Manifest]:
    """Open a manifest, or make one of a file or a folder for a while; `unreadable` takes in what of a folder cannot be read, and why.

    Raises:
        UserError: there is no audio.
        AudioError: a file cannot be read, and there is no `unreadable`, or it is the only one.
    """
    if source.suffix == ".jsonl":
        yield Manifest.open(source)
        return
    paths = sorted(files(source, READABLE | UNREADABLE)) if source.is_dir() else [source]
    if not paths:
        msg = f"there is no audio in {source}: it takes a file, a folder with audio at any depth, or a manifest (.jsonl)"
        raise UserError(msg)
    base = source if source.is_dir() else source.parent
    items = []
    for path in paths:
        name = path.relative_to(base).as_posix()
        try:
            info = audio_info(path)
        except AudioError as error:
            if unreadable is None or len(paths) == 1:
                raise
            unreadable[name] = error
            continue
        items.append(Item(name, audio=path.absolute(), duration=info.frames / info.sample_rate, sample_rate=info.sample_rate))
    if not items:
        msg = f"none of the {len(paths)} files in {source} can be read; the first: {next(iter((unreadable or {}).values()), '')}"
        raise UserError(msg)
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder) / "manifest.jsonl", items)
        yield Manifest.open(Path(folder) / "manifest.jsonl")
