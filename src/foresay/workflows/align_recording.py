"""Where a text is in one recording, as several recognizers have it, side by side: times of words, and a page of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError, nearest
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
    item: str | None = None,
    device: str | None = None,
) -> AlignedRecording:
    """Find a text in a recording, an audio file or one of a manifest, and write the page `out`.

    `text`: None: that of the manifest or, if there is none, what the first of the recognizers writes. `item`: of a manifest, by its id;
    None: the first.

    Raises:
        UserError: a model is no recognizer, the manifest has no such item, or the recording cannot be read.
    """
    if not models:
        msg = "what is to be aligned by what? Name a recognizer, or several, and a recording: foresay align runs/asr talk.wav"
        raise UserError(msg)
    place = str(find_process(device).device)
    recognizers = {str(model): load_recognizer(model, place) for model in models}
    with manifest_of(Path(recording)) as manifest:
        index = _place(manifest, item)
        spoken = replace(manifest[index], text=text, phones=None, words=None) if text else manifest[index]
        if not (spoken.text or spoken.phones):
            spoken = replace(spoken, text=_written(next(iter(recognizers.values())), manifest, index, place))
        found = {name: recognized(one, spoken, manifest.read(index, one.sample_rate), place) for name, one in recognizers.items()}
    names = {name: Path(name).name if len({Path(other).name for other in found}) == len(found) else name for name in found}
    records = [Record(names[name], Path(name), {}, {}, (), (), (arrays,)) for name, arrays in found.items()]
    page = Path(out)
    make_folder(page.parent)
    write_text(page, recording_page(spoken.id, records))
    left = {names[name]: str(arrays["not_aligned"]) for name, arrays in found.items() if "not_aligned" in arrays}
    words = {names[name]: _words(arrays) for name, arrays in found.items() if "not_aligned" not in arrays}
    return AlignedRecording(spoken.text or "", words, left, page)


def _place(manifest: Manifest, item: str | None) -> int:
    if item is None:
        return 0
    if item not in manifest.ids:
        msg = f"{manifest.name} has no item {item!r}: {nearest(item, manifest.ids)}"
        raise UserError(msg)
    return manifest.ids.index(item)


def _written(recognizer: Recognizer, manifest: Manifest, index: int, device: str) -> str:
    """Return what a recognizer writes of a recording, by its best path."""
    return next((one.text for one in transcribed(Decoder(recognizer, SearchSettings(), device), manifest, device, items={index})), "")


def _words(arrays: Arrays) -> list[tuple[str, float, float]]:
    times = arrays["alignment_times"].tolist()
    return [(word, begin, end) for word, (begin, end) in zip(arrays["alignment_words"].tolist(), times, strict=True)]
