"""Give a transcribed corpus phone and word times: from a manifest with texts to one with times."""

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from threading import current_thread, main_thread

from foresay.corpora.forced_alignment import PHONE_SET, RATE, Aligned, Aligner
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.corpora.reader import Skipped, write_skipped
from foresay.errors import AudioError, UserError, at_least
from foresay.progress import ProgressBar


@dataclass
class ForcedAlignment:
    """What was aligned, and what was not."""

    manifest: Path
    aligned: int = 0
    left: dict[str, str] = field(default_factory=dict)
    """Id -> why it has no times."""
    left_list: Path | None = None
    """File that lists them."""
    missing: Counter[str] = field(default_factory=Counter)
    """Words that the dictionary lacks, or symbols that the vocabulary of the recognizer lacks."""


def align_corpus(manifest: str | Path, destination: str | Path, *, workers: int = 2) -> ForcedAlignment:
    """Write the manifest `destination`: that of `manifest`, with times. An item that cannot be aligned stays, without times.

    Raises:
        UserError: no item has a text, or `destination` is there already.
    """
    at_least(1, workers=workers)
    source, target = Path(manifest), Path(destination)
    opened = open_transcribed(source, target)
    done = ForcedAlignment(target)

    def items(pool: Executor) -> Iterator[Item]:
        count = range(len(opened))
        with _deaf_to_interrupts():  # as the processes are that begin here
            aligning = pool.map(_align, count, chunksize=4)
        progress = ProgressBar(aligning, "aligning", "item", total=len(count), leave=True)
        for item, found in zip(opened, progress, strict=True):
            aligned, missing = found
            done.missing.update(missing)
            if isinstance(aligned, Aligned):
                done.aligned += 1
                yield replace(item, phones=aligned.phones, words=aligned.words)
            else:
                done.left[item.id] = aligned
                yield replace(item, phones=None)

    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(source,)) as pool:
        try:
            write_manifest(target, items(pool), phone_set=PHONE_SET)  # it opens the file first: where none can be, nobody works for nothing
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done.left_list = listed(done)
    return done


def open_transcribed(source: Path, target: Path) -> Manifest:
    """Open a manifest that is to be aligned.

    Raises:
        UserError: no item has a text, or the aligned manifest `target` is there already, or is the manifest itself.
    """
    opened = Manifest.open(source)
    if source.resolve() == target.resolve():
        msg = f"{target} would be written over: give the aligned manifest another name, such as {source.stem}-aligned.jsonl"
        raise UserError(msg)
    if target.is_file():
        msg = f"{target} is there already: choose another name, or delete it"
        raise UserError(msg)
    if not any(item.text or item.phones for item in opened):
        msg = f"no item of {opened.name} has a text to align: import the corpus with its transcripts"
        raise UserError(msg)
    return opened


def listed(done: ForcedAlignment) -> Path | None:
    """List what has no times beside the manifest, if there is anything."""
    left = [Skipped(Path(name), reason) for name, reason in done.left.items()]
    return write_skipped(done.manifest.with_name(f"{done.manifest.stem}.skipped.tsv"), left)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C goes to all processes of a command. One is enough to answer it; the others would answer with a traceback each."""
    if current_thread() is not main_thread():  # to which interrupts go
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """What a process keeps between items."""

    manifest: Manifest
    aligner: Aligner


def _begin(manifest: Path) -> None:
    _Worker.manifest, _Worker.aligner = Manifest.open(manifest), Aligner()


def _align(index: int) -> tuple[Aligned | str, dict[str, int]]:
    """Align an item; return its times or why it has none, and the words that were missing."""
    aligner = _Worker.aligner
    aligner.missing.clear()
    text = _Worker.manifest[index].text
    if not text:
        return "no text", {}
    try:
        waveform = _Worker.manifest.read(index, RATE)
    except AudioError as error:
        return str(error), {}
    return aligner.align(waveform, text), dict(aligner.missing)
