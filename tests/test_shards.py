"""Parts of tar files are read like files: their bytes, from any thread, and never others than those that were packed."""

import io
import os
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from foresay import shards
from foresay.shards import ShardError, ShardPart, digest_in_name, digest_of, file_of, open_part, part_of, pointer

CONTENTS = [np.random.default_rng(number).bytes(size) for number, size in enumerate((0, 1, 511, 512, 513, 100_000))]


@pytest.fixture
def shard(tmp_path: Path) -> tuple[Path, list[ShardPart]]:
    """Write a tar file with Python's own writer, which also says where everything lies in it."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for number, content in enumerate(CONTENTS):
            header = tarfile.TarInfo(f"{number}.bin")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    with tarfile.open(path) as tar:
        return path, [ShardPart(path, member.offset_data, member.size) for member in tar]


def test_a_part_has_the_bytes_that_were_packed(shard: tuple[Path, list[ShardPart]]) -> None:
    for number, (part, content) in enumerate(zip(shard[1], CONTENTS, strict=True)):
        with open_part(part) as file:
            assert file.name == f"{number}.bin"
            assert file.read() == content
            assert file.read(10) == b""
            file.seek(-3, os.SEEK_END)
            assert file.read(10) == content[-3:]
            assert file.seek(len(content) + 7) == file.tell() == len(content)
            assert file.seek(-1) == 0


def test_any_number_of_threads_read_at_once(shard: tuple[Path, list[ShardPart]]) -> None:
    def read(number: int) -> bool:
        with open_part(shard[1][number % 6]) as file:
            return b"".join(iter(lambda: file.read(777), b"")) == CONTENTS[number % 6]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))


def test_a_pointer_is_a_path_and_back(tmp_path: Path) -> None:
    part = ShardPart(tmp_path / "a.tar", 512, 10)
    assert part_of(pointer(part)) == part
    assert file_of(pointer(part)) == part.shard
    for plain in ("a.tar", "a.wav", "a.tar:1", "a.tar:1:x", "a.zip:1:2", "a.tar:1:2/b.wav", ".tar:1:2"):
        assert part_of(tmp_path / plain) is None
        assert file_of(tmp_path / plain) == tmp_path / plain


def test_what_the_shard_does_not_hold_there_is_refused(shard: tuple[Path, list[ShardPart]], tmp_path: Path) -> None:
    path, parts = shard
    last = parts[-1]
    for wrong in (
        last._replace(offset=last.offset - 512),
        last._replace(offset=last.offset + 1),
        ShardPart(path, 0, 1),
        ShardPart(path, 512, 1),
    ):
        with pytest.raises(ShardError, match=re.escape(f"in the shard {path} nothing of {wrong.length:,} bytes begins")) as caught:
            open_part(wrong)
        assert caught.value.kind == "damaged"
    with pytest.raises(ShardError, match="nothing of 99,999 bytes begins"):
        open_part(last._replace(length=99_999))
    with pytest.raises(ShardError, match="there is no shard .*was the manifest moved") as caught:
        open_part(last._replace(shard=tmp_path / "b.tar"))
    assert caught.value.kind == "missing"
    with pytest.raises(ShardError, match="cannot be read") as caught:
        open_part(last._replace(shard=tmp_path / "a\0.tar"))
    assert caught.value.kind == "unreadable"


def test_a_cut_shard_is_reported_though_it_was_read_before(shard: tuple[Path, list[ShardPart]]) -> None:
    path, parts = shard
    open_part(parts[-1]).close()
    os.truncate(path, parts[-1].offset + 99_999)
    with pytest.raises(ShardError, match=f"ends after {parts[-1].offset + 99_999:,} bytes") as caught:
        open_part(parts[-1])
    assert caught.value.kind == "truncated"
    assert open_part(parts[-2]).read() == CONTENTS[-2]  # the rest can be read


@pytest.mark.parametrize("place, field", [(257, b"ustax"), (156, b"5"), (124, b"00000000009"), (124, b"           ")])
def test_a_header_that_makes_no_sense_is_refused(shard: tuple[Path, list[ShardPart]], place: int, field: bytes) -> None:
    path, parts = shard
    content = bytearray(path.read_bytes())
    begin = parts[-1].offset - 512 + place
    content[begin : begin + len(field)] = field
    path.write_bytes(content)
    with pytest.raises(ShardError, match="nothing of 100,000 bytes begins"):
        open_part(parts[-1])


def test_a_file_of_more_than_eight_gigabytes_has_its_size_in_bytes() -> None:
    header = tarfile.TarInfo("a")
    header.size = 9_000_000_001
    assert shards._number(header.tobuf(tarfile.GNU_FORMAT)[124:136]) == header.size


def test_a_directory_in_a_tar_file_is_no_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    with pytest.raises(ShardError, match="nothing of 0 bytes begins at byte 512"):
        open_part(ShardPart(tmp_path / "a.tar", 512, 0))


def test_few_files_are_kept_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    parts = []
    for number in range(shards.KEPT_OPEN + 20):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            header = tarfile.TarInfo("a")
            header.size = 1
            tar.addfile(header, io.BytesIO(b"a"))
        parts.append(ShardPart(tmp_path / f"{number}.tar", 512, 1))
    shards._handle.cache_clear()
    before = descriptors()
    held = open_part(parts[0])
    for part in parts:
        assert open_part(part).read() == b"a"
    assert held.read() == b"a"  # what somebody still reads stays open
    del held
    assert descriptors() - before <= shards.KEPT_OPEN


@pytest.mark.parametrize("limit, most", [(16, 2), (4, 1), (1 << 20, shards.KEPT_OPEN), (shards.resource.RLIM_INFINITY, shards.KEPT_OPEN)])
def test_fewer_where_few_may_be_opened(monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    monkeypatch.setattr(shards.resource, "getrlimit", lambda _: (limit, limit))
    assert shards._most_handles() == most


def test_the_digest_is_of_all_bytes(shard: tuple[Path, list[ShardPart]]) -> None:
    path = shard[0]
    digest = digest_of(path)
    named = path.rename(path.with_name(f"shard-00000-{digest}.tar"))
    assert digest_in_name(named) == digest == digest_of(named)
    content = bytearray(named.read_bytes())
    content[-1] ^= 1
    named.write_bytes(content)
    assert digest_of(named) != digest
    assert digest_in_name(path) is None
