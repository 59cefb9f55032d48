"""A folder of synthesized speech: a file for each recording that it was made of, and their manifest. What was interrupted goes on.

```text
OUT/manifest.jsonl    a line for each file
OUT/ID.wav
OUT/recordings.jsonl  of each file the content of the recording that it was made of: of another one it is made anew
OUT/made-by.toml      what made it, and how: what something else made is not mixed in
OUT/left-out.txt      what could not be made, and why
```
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from foresay.audio.content import open_content
from foresay.corpora.item import Item, item_of, record_of
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.corpora.reader import READABLE
from foresay.errors import AudioError, UserError
from foresay.files import make_folder, write_bytes, write_list, write_text
from foresay.fingerprint import fingerprint
from foresay.progress import ProgressBar
from foresay.results import read_lines
from foresay.settings import Table, read_toml_file, write_toml
from foresay.version import __version__
from foresay.workflows.extract import LEFT_OUT, safe_name

MANIFEST, RECORDINGS, MADE_BY = "manifest.jsonl", "recordings.jsonl", "made-by.toml"


class SpeechFolder:
    """Where speech is written, and what was before.

    Args:
        out: The folder.
        stamp: A digest of all that the speech follows from, but the recordings.
        about: What made it, for people.
        recordings: Of each file, in order, its id and the content of the recording that it is made of (`contents_of`).
        beside: Names of other files that are written there.

    Raises:
        UserError: the folder holds something else, or two recordings have one id.
    """

    def __init__(self, out: Path, stamp: str, about: Table, recordings: Sequence[tuple[str, str]], beside: Sequence[str] = ()) -> None:
        self.out, self.manifest, self._files = out, out / MANIFEST, [out / name for name in (MANIFEST, RECORDINGS, *beside)]
        ids = [name for name, _ in recordings]
        if repeated := [name for name, count in Counter(ids).items() if count > 1]:
            msg = f"two recordings are called {repeated[0]}: give the folder above both, or a manifest, so that each has a name of its own"
            raise UserError(msg)
        self._order = {name: place for place, name in enumerate(ids)}
        self._stems, self._contents = stems_of(ids), dict(recordings)
        self._begin(stamp, about)
        there = {item.id: item for item in self._whole()}
        if strange := sorted(there.keys() - self._order.keys()):
            msg = f"{out} holds speech of recordings that are not among these, such as {strange[0]}: choose another --out"
            raise UserError(msg)
        before = {line["id"]: line["content"] for line in read_lines(out / RECORDINGS)}
        self.done = {name: item for name, item in there.items() if before.get(name) == self._contents[name]}
        """What was written before of the same recordings, or is now, by the ids."""
        self._list()

    def path(self, name: str) -> Path:
        """Return the file of a recording, by its id."""
        return self.out / safe_name(self._stems[name], "wav")

    def add(self, item: Item) -> None:
        """Write down that the file of an item is there."""
        self.done[item.id] = item
        with (self.out / RECORDINGS).open("a", encoding="utf-8") as lines:
            lines.write(self._recording(item.id) + "\n")
        with self.manifest.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record_of(item, self.out.resolve()), ensure_ascii=False) + "\n")

    def close(self, left_out: Mapping[str, str]) -> None:
        """Put the lines in the order of the recordings, and list what is left out, by its id, and why."""
        self._list()
        path = self.out / LEFT_OUT
        if left_out:
            write_list(path, (f"{name}: {why}" for name, why in left_out.items()))
        else:
            path.unlink(missing_ok=True)

    def _begin(self, stamp: str, about: Table) -> None:
        """Make the folder, unless something else made it."""
        made_by = self.out / MADE_BY
        if made_by.exists() and read_toml_file(made_by).get("fingerprint") != stamp:
            msg = f"{self.out} holds speech that was made otherwise, as {made_by} says: choose another --out, or delete that folder"
            raise UserError(msg)
        if not made_by.exists() and (there := [path for path in (*self._files, *map(self.path, self._order)) if path.exists()]):
            msg = f"{there[0]} is there already, and is none of this command's: choose another --out, so that nothing of it is lost"
            raise UserError(msg)
        make_folder(self.out)
        write_text(made_by, write_toml({**about, "version": __version__, "fingerprint": stamp}))

    def _whole(self) -> Iterator[Item]:
        """Yield what was written before; a line that was cut short, and one that has lost its file, are left out."""
        for line in read_lines(self.manifest):
            item = item_of(line, self.out)
            if item.audio is not None and item.audio.is_file():
                yield item

    def _list(self) -> None:
        done = sorted(self.done.values(), key=lambda item: self._order[item.id])
        if done or (self.out / RECORDINGS).exists():
            write_list(self.out / RECORDINGS, (self._recording(item.id) for item in done))  # without a line that was cut short
        if done:
            write_manifest(self.manifest, done)
        elif self.manifest.exists():
            write_bytes(self.manifest, b"")

    def _recording(self, name: str) -> str:
        return json.dumps({"id": name, "content": self._contents[name]})


def stems_of(ids: Sequence[str]) -> dict[str, str]:
    """Leave the endings of audio files out of ids, unless two would then be the same.

    >>> stems_of(["a.wav", "b.flac"]), stems_of(["a.wav", "a.flac"])
    ({'a.wav': 'a', 'b.flac': 'b'}, {'a.wav': 'a.wav', 'a.flac': 'a.flac'})
    """
    stems = {name: name.removesuffix(end) if (end := Path(name).suffix).lower() in READABLE else name for name in ids}
    return stems if len(set(stems.values())) == len(ids) else dict(zip(ids, ids, strict=True))


def contents_of(manifest: Manifest) -> list[tuple[str, str]]:
    """Digest each recording, its file and all that the manifest says of it, such as who speaks: ids and digests, in order."""
    found, digests = [], dict[Path, str]()
    for item in ProgressBar(manifest, "looking which recordings are new", "recording"):
        path = item.audio or Path()
        if path not in digests:
            digests[path] = _digest(path)
        found.append((item.id, fingerprint(digests[path], replace(item, audio=None, image=None))))
    return found


def _digest(path: Path) -> str:
    try:
        with io.BufferedReader(open_content(path)) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except AudioError:
        return ""  # whoever reads it says why it cannot be
