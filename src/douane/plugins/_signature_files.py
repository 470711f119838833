"""Signatures and attestations beside an image, in files that the operator granted."""

from __future__ import annotations

import os

from douane.plugins.attestations import strict_json
from douane_plugin import Incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_SIGNATURE_BYTES = 1 << 20
MAX_NAME_BYTES = 200


def if_granted(open_grant: Callable[[], Any]) -> Any | None:
    """What the call opens; None if the operator has not granted it. The name stands in the call, where `douane plugin
    describe` finds it."""
    try:
        return open_grant()
    except LookupError:
        return None


def read_bounded(path: str, most: int) -> bytes | None:
    """The content of the file at `path`; None if there is none. Raises Incomplete for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if len(data) > most:
        raise _unreadable(path, f"it has more than {most} bytes")
    return data


def read_granted(file: Any, grant: str, most: int) -> bytes:
    """The content of a granted file. Raises ValueError for the operator if it is longer than `most`."""
    data: bytes = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"the file that is granted as {grant!r} has more than {most} bytes")
    return data


class Beside:
    """What the operator granted as `name` to hold what lies beside the images: a folder, or the one file itself.

    A folder may be that of several inspectors: a JSON document with a key in `others` is meant for another. Raises
    ValueError for the operator.
    """

    def __init__(self, grant: Any, name: str, endings: tuple[str, ...], others: frozenset[str]) -> None:
        is_file = hasattr(grant, "read")
        self._content = read_granted(grant, name, MAX_SIGNATURE_BYTES) if is_file else None
        self._folder = "" if is_file else os.fspath(grant)
        self._endings, self._others = endings, others

    @property
    def has_digests(self) -> bool:
        """True if files may be named by the digest of an image."""
        return self._content is None

    def of_name(self, name: str | None) -> list[tuple[str, bytes]]:
        """The files for the image `name`, each with its content. Raises Incomplete."""
        return self._in_folder(name) if self._content is None else [("the granted file", self._content)]

    def of_digest(self, sha256: str) -> list[tuple[str, bytes]]:
        """The files for the image with this digest, in hex. Raises Incomplete."""
        return self._in_folder(sha256) if self._content is None else []

    def _in_folder(self, name: str | None) -> list[tuple[str, bytes]]:
        # The name is the sender's: it must not lead out of the folder, or to a file that no image is meant by.
        if not name or "/" in name or "\0" in name or name.startswith(".") or len(os.fsencode(name)) > MAX_NAME_BYTES:
            return []
        paths = [os.path.join(self._folder, name + ending) for ending in self._endings]
        contents = [(f"the file {os.path.basename(path)!r}", read_bounded(path, MAX_SIGNATURE_BYTES)) for path in paths]
        return [(file, data) for file, data in contents if data is not None and not self._is_other(data)]

    def _is_other(self, data: bytes) -> bool:
        if not data.lstrip().startswith(b"{"):
            return False
        try:
            table = strict_json.parse(data, "the file")
        except ValueError:  # damaged, or one document on each line: its reader says what is wrong
            return False
        return isinstance(table, dict) and bool(table.keys() & self._others)


def _unreadable(path: str, why: str) -> Incomplete:
    return Incomplete(
        "signature-unreadable",
        f"this site's file {os.path.basename(path)!r:.200} cannot be read ({why:.100}); ask the operator",
    )
