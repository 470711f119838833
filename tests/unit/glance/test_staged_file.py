"""The staged file, and the file beside it for the transformed image."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from douane.errors import SinkError, SourceError
from douane.glance.staged.staged_file import StagedFile
from douane.glance.staged.tag import Tag

ID = "5b9e7a86-0000-4000-8000-000000000000"


def uri(folder: Path, data: bytes = b"data") -> str:
    (folder / ID).write_bytes(data)
    return f"file://{folder / ID}"


def test_only_a_regular_file_of_this_image_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    uris = [f"file://{tmp_path / 'secret'}", f"http://host/{ID}", f"file://{tmp_path / ID}", str(tmp_path / ID)]
    for other_uri in uris:
        with pytest.raises(SourceError):
            StagedFile(other_uri, ID)
    for make in (
        lambda path: path.symlink_to(tmp_path / "secret"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        make(folder / ID)
        with pytest.raises(SourceError):
            StagedFile(f"file://{folder / ID}", ID)


def test_a_result_replaces_the_staged_file(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    (tmp_path / ID).chmod(0o640)
    (tmp_path / f"{ID}.douane").write_bytes(b"of a killed process")
    result = staged.new_result()
    os.write(result.fd, b"another")
    result.finish(7)
    staged.replace_with(result)
    result.discard()
    assert (tmp_path / ID).read_bytes() == b"another"
    assert staged.size == 7
    assert [path.name for path in tmp_path.iterdir()] == [ID]
    staged.close()
    staged.discard()
    assert not list(tmp_path.iterdir())


def test_a_newer_staged_file_is_not_deleted(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    (tmp_path / "new").write_bytes(b"the next attempt")
    (tmp_path / "new").rename(tmp_path / ID)
    assert not staged.is_in_place()
    staged.discard()
    staged.close()
    assert (tmp_path / ID).read_bytes() == b"the next attempt"


def test_an_unused_result_is_deleted(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    staged.new_result().discard()
    staged.close()
    assert [path.name for path in tmp_path.iterdir()] == [ID]
    folder = tmp_path / "gone"
    folder.mkdir()
    staged = StagedFile(uri(folder), ID)
    staged.close()
    (folder / ID).unlink()
    folder.rmdir()
    with pytest.raises(SinkError, match="gone"):
        staged.new_result()


def tag_of(key: bytes, data: bytes) -> bytes:
    tag = Tag(key)
    tag.update(data)
    return tag.finish()


def test_a_tag_covers_every_byte_of_a_staged_file(tmp_path: Path) -> None:
    data = os.urandom((3 << 20) + 5)
    staged = StagedFile(uri(tmp_path, data), ID)
    key = os.urandom(32)
    tag = tag_of(key, data)
    for _ in range(2):
        assert staged.has_tag(key, tag)
    assert not staged.has_tag(os.urandom(32), tag)
    for changed in (data[:-1], data + b"\0", bytes([data[0] ^ 1]) + data[1:], data[:-1] + bytes([data[-1] ^ 1]), b""):
        assert not staged.has_tag(key, tag_of(key, changed))
    staged.close()


def test_the_digest_is_that_of_the_staged_bytes_or_of_their_replacement(tmp_path: Path) -> None:
    staged = StagedFile(uri(tmp_path), ID)
    assert staged.digest("sha512") == hashlib.sha512(b"data").hexdigest()
    result = staged.new_result()
    os.write(result.fd, b"another")
    result.finish(7)
    staged.replace_with(result)
    result.discard()
    assert staged.digest("sha256") == hashlib.sha256(b"another").hexdigest()
    with pytest.raises(SourceError, match="no-such"):
        staged.digest("no-such")
    (tmp_path / "new").write_bytes(b"of somebody else")
    (tmp_path / "new").rename(tmp_path / ID)
    with pytest.raises(SourceError, match="another file"):
        staged.digest("sha512")
    (tmp_path / ID).unlink()
    with pytest.raises(SourceError):
        staged.digest("sha512")
