"""The protocol of an import method, and the table of methods."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from douane.errors import PlanError
from douane.stream.source import Source

from .settings.structs import ServeSettings

DEFAULTS = ServeSettings()
METHODS = {
    "file": "douane.imports.from_file:FromFile",
    "web-download": "douane.imports.web.download:WebDownload",
}
"""The class of each import method, by the name that import tasks record. The class is called without arguments."""


class ImportMethod(Protocol):
    """Provides the bytes of a new image."""

    def open(self, location: str, *, size: int | None = None, settings: ServeSettings = DEFAULTS) -> Source:
        """The source of the image at `location`; `size` is the announced size in bytes, or None.

        Raises PlanError or SourceError if there is no image. `import_image` closes the source.
        """


def open_import(method: str, location: str, *, size: int | None = None, settings: ServeSettings = DEFAULTS) -> Source:
    """Open `location` with the import method named `method`, under the operator's `settings`.

    Raises PlanError, also for an unknown method, and SourceError.
    """
    if method not in METHODS:
        raise PlanError(f"there is no import method {method!r}; the methods are: {', '.join(METHODS)}")
    module, _, name = METHODS[method].partition(":")
    return cast(ImportMethod, getattr(import_module(module), name)()).open(location, size=size, settings=settings)
