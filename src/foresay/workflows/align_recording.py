"""Where a text is in one recording, as several recognizers have it, side by side: times of words, and a page of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.example import Arrays, recognized
from foresay.files import make_folder, write_text
from foresay.reports.page import recording_page
from foresay.reports.record import Record
from foresay.training.devices import find_process
from foresay.workflows.transcribe import load_recognizer, manifest_of


@dataclass(frozen=True)
class AlignedRecording:
    """What was aligned."""

    text: str
    words: dict[str, list[tuple[str, float, float]]]
    """By each recognizer that finds the text: words with begin and end in seconds."""
    left: dict[str, str]
    """Recognizers that do not, and why."""
    page: Path


def align_recording(
    models: Sequence[str | Path],
    recording: str | Path,
    text: str | None = None,
    out: str | Path = "alignment.html",
    *,
    device: str | None = None,
) -> AlignedRecording:
    """Find a text in a recording, an audio file or the first one of a manifest, and write the page `out`.

    `text`: None: that of the manifest or, if there is none, what the first of the recognizers writes.

    Raises:
        UserError: a model is no recognizer, or the recording cannot be read.
    """
    if not models:
        msg = "what is to be aligned by what? Name a recognizer, or several, and a recording: foresay align runs/asr talk.wav"
        raise UserError(msg)
    place = str(find_process(device).device)
    recognizers = {str(model): load_recognizer(model, place) for model in models}
    with manifest_of(Path(recording)) as manifest:
        item = replace(manifest[0], text=text, phones=None, words=None) if text else manifest[0]
        if not (item.text or item.phones):
            item = replace(item, text=_written(next(iter(recognizers.values())), manifest, place))
        found = {name: recognized(one, item, manifest.read(0, one.sample_rate), place) for name, one in recognizers.items()}
    names = {name: Path(name).name if len({Path(other).name for other in found}) == len(found) else name for name in found}
    records = [Record(names[name], Path(name), {}, {}, (), (), (arrays,)) for name, arrays in found.items()]
    page = Path(out)
    make_folder(page.parent)
    write_text(page, recording_page(item.id, records))
    left = {names[name]: str(arrays["not_aligned"]) for name, arrays in found.items() if "not_aligned" in arrays}
    words = {names[name]: _words(arrays) for name, arrays in found.items() if "not_aligned" not in arrays}
    return AlignedRecording(item.text or "", words, left, page)


def _written(recognizer: Recognizer, manifest: Manifest, device: str) -> str:
    """Return what a recognizer writes of the first recording, by its best path."""
    return next((one.text for one in transcribed(Decoder(recognizer, SearchSettings(), device), manifest, device, items={0})), "")


def _words(arrays: Arrays) -> list[tuple[str, float, float]]:
    times = arrays["alignment_times"].tolist()
    return [(word, begin, end) for word, (begin, end) in zip(arrays["alignment_words"].tolist(), times, strict=True)]
