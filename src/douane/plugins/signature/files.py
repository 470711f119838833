"""Small files that the operator granted."""

from __future__ import annotations

import os

from douane_plugin import Incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_SIGNATURE_BYTES = 1 << 20
ENDINGS = (".minisig", ".sig", ".asc", ".gpg", ".sign", ".sigstore.json", ".sigstore", ".bundle")
"""Of the files beside an image that may hold its signature."""


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


def signatures_beside(folder: Any, name: str | None) -> list[tuple[str, bytes]]:
    """The files in `folder` that may be signatures of the image `name`, with their content. Raises Incomplete."""
    # The name is the sender's: it must not lead out of the folder, or to a file that no image is meant by.
    if not name or "/" in name or "\0" in name or name.startswith(".") or len(os.fsencode(name)) > 200:
        return []
    contents = (
        (name + end, read_bounded(os.path.join(os.fspath(folder), name + end), MAX_SIGNATURE_BYTES)) for end in ENDINGS
    )
    return [(file, data) for file, data in contents if data is not None]


def _unreadable(path: str, why: str) -> Incomplete:
    return Incomplete(
        "signature-unreadable",
        f"this site's file {os.path.basename(path)!r:.200} cannot be read ({why:.100}); ask the operator",
    )
