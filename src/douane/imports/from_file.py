"""The import method ``file``: a file, a block device, a pipe, or standard input."""

from __future__ import annotations

from douane.stream.source import Source, open_source

from .settings.structs import ServeSettings


class FromFile:
    """See :class:`~douane.imports.base.ImportMethod`."""

    def open(self, location: str, *, size: int | None = None, settings: ServeSettings | None = None) -> Source:
        """Open the path `location`, or standard input for ``-``."""
        return open_source(location, size=size)
