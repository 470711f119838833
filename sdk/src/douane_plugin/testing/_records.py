"""The records of the files of a test's image, as Douane's reader sends them to a plugin with ``reads = "files"``."""

from __future__ import annotations

import os
from typing import Iterator, Optional

from ._pieces import Lengths, Piece, Source, spool
from ._result import WrongConfiguration


def record_pieces(image: Source, choose: Optional[Lengths], size: Optional[int]) -> Iterator[Piece]:
    """Yield the records of the files of an image in pieces, as :meth:`Source.pieces` does the image itself."""
    fd = spool(image, size)
    try:
        yield from Source(_records(fd)).pieces(choose, None)
    finally:
        os.close(fd)


def check_guest() -> None:
    """Raise WrongConfiguration if this Python cannot read the files of an image."""
    try:
        import douane_guest.delivery  # noqa: F401
    except ImportError as error:
        raise WrongConfiguration(
            "a test of a plugin with reads = 'files' needs the package douane-guest, and Python 3.11 or newer: install "
            f"douane-plugin[guest] ({error})"
        ) from None


def _records(image_fd: int) -> Iterator[bytes]:
    from douane_guest.delivery import deliver
    from douane_guest.guest import open_guest
    from douane_guest.source import FileSource
    from douane_plugin._delivery import record_of

    for event in deliver(open_guest(FileSource(image_fd))):
        yield record_of(event)
