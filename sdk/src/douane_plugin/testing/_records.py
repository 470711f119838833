"""The records of the files of a test's image, as Douane's reader sends them to a plugin with ``reads = "files"``."""

from __future__ import annotations

from typing import Iterator

from ._pieces import Source
from ._result import WrongConfiguration


def records(image_fd: int) -> Source:
    """Return the records of the files in an image as a source of their bytes. Raises WrongConfiguration."""
    try:
        import douane_guest.delivery  # noqa: F401
    except ImportError as error:
        raise WrongConfiguration(
            "a test of a plugin with reads = 'files' needs the package douane-guest, and Python 3.11 or newer: install "
            f"douane-plugin[guest] ({error})"
        ) from None
    return Source(_records(image_fd))


def _records(image_fd: int) -> Iterator[bytes]:
    from douane_guest.delivery import deliver
    from douane_guest.guest import open_guest
    from douane_guest.source import FileSource
    from douane_plugin._delivery import record_of

    for event in deliver(open_guest(FileSource(image_fd))):
        yield record_of(event)
