"""Transcribe recordings with a recognizer: files, folders and manifests, by the best path or a search with language models."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from foresay import progress
from foresay.audio.read import audio_info
from foresay.contracts import Recognizer
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.corpora.reader import READABLE, UNREADABLE, files
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import Transcript, transcribed
from foresay.errors import AudioError, UserError, at_least, with_article
from foresay.fingerprint import fingerprint, of_file, of_model
from foresay.loading import load
from foresay.training.devices import find_process
from foresay.version import __version__


def load_recognizer(name: str | Path, device: str | None = None) -> Recognizer:
    """Load what turns speech into text; onto a GPU, if there is one and no device is named.

    Raises:
        UserError: the model does not.
    """
    model = load(name, str(find_process(device).device))
    if not isinstance(model, Recognizer):
        kind = with_article(type(model))
        msg = f"{name} is {kind}, which recognizes no text: train a recognizer on it (foresay finetune ctc-tiny --encoder {name} …)"
        raise UserError(msg)
    return model


def transcribe(
    model: str | Path | Recognizer,
    sources: str | Path | Sequence[str | Path],
    search: SearchSettings | None = None,
    *,
    best: int = 1,
    device: str | None = None,
    unreadable: dict[str, AudioError] | None = None,
    done: Collection[str] = (),
) -> Iterator[Transcript]:
    """Yield the transcript of every recording: of files, folders with audio at any depth, and manifests.

    Args:
        model: A recognizer, or its name.
        sources: One or more.
        search: How text is found; None: by the best path.
        best: Hypotheses of each recording.
        device: As of PyTorch; None: a GPU if there is one.
        unreadable: Takes in what cannot be read, by its id, and why; without it, that is an error.
        done: Ids of recordings that are left out.

    Raises:
        UserError: what is named cannot be used, or two recordings have one id.
    """
    at_least(1, nbest=best)
    place = str(find_process(device).device)
    recognizer = model if isinstance(model, Recognizer) else load_recognizer(model, place)
    decoder = Decoder(recognizer, search or SearchSettings(), place)
    for note in decoder.notes:
        progress.say(note)
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    with contextlib.ExitStack() as stack:
        manifests = [stack.enter_context(manifest_of(Path(source), unreadable)) for source in several]
        _refuse_equal_ids([name for manifest in manifests for name in manifest.ids], done)
        for manifest in manifests:
            items = [place for place, name in enumerate(manifest.ids) if name not in done]
            if not items:
                continue
            failed: dict[int, AudioError] | None = None if unreadable is None else {}
            said = set()
            for transcript in transcribed(decoder, manifest, place, failed, best=best, items=set(items)):
                said.add(transcript.id)
                yield transcript
            if unreadable is not None:
                unreadable |= {manifest.ids[index]: error for index, error in (failed or {}).items()}
                lost = [manifest[index] for index in items if manifest.ids[index] not in said | set(unreadable)]
                unreadable |= {item.id: AudioError(f"it lasts {item.duration:.3g} s, in which there is no frame") for item in lost}


def stamp_of(recognizer: Recognizer, search: SearchSettings, best: int) -> str:
    """Digest all that transcripts follow from, but the recordings."""
    return fingerprint(of_model(recognizer), search, list(map(of_file, search.files)), best, __version__)


def _refuse_equal_ids(ids: Sequence[str], done: Collection[str]) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        msg = f"two recordings are called {repeated[0]}: give the folder above both, or a manifest, so that each has a name of its own"
        raise UserError(msg)
    if strange := sorted(set(done) - set(ids)):
        msg = f"what was transcribed before has recordings that are not among these, such as {strange[0]}: choose another --out"
        raise UserError(msg)


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
        path = Path(folder) / source.resolve().name / "manifest.jsonl"
        path.parent.mkdir(exist_ok=True)
        write_manifest(path, items)
        yield Manifest.open(path)
