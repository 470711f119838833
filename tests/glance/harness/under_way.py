"""Images on their way in, to be there when something happens to Glance."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from pathlib import Path

from .half_upload import HalfUpload
from .site import Site, is_as_new
from .state import State
from .waiting import until


class UnderWay:
    """Images on their way in, each by another way and at another place of it."""

    def __init__(self, site: Site, closing: ExitStack, data: bytes) -> None:
        """`closing` ends what is left open."""
        self.site = site
        self._closing = closing
        self._data = data

    def half_sent(self, door: str) -> str:
        """Half of it is sent; a part is staged or stored."""
        image = self.site.create(f"good:half-{door}")
        self._send(image, door, len(self._data) // 2)
        folder = self.site.glance.folder / ("staging" if door == "stage" else "stores/fast")
        until("a part of it is there", lambda: has_bytes(folder / image))
        return image

    def all_sent(self, door: str) -> str:
        """The plugin has all of it, Glance not the end."""
        name = new_name()
        image = self.site.create(name)
        self._send(image, door, len(self._data))
        self._seen(name)
        return image

    def importing(self) -> str:
        """The plugin has all of what was staged, and hangs."""
        image = self.site.create("good:staged")
        assert self.site.put(image, "stage", self._data).status == 204
        name = new_name()
        self.site.rename(image, name)
        self.site.start_import(image)
        self._seen(name)
        return image

    def half_downloaded(self) -> str:
        """A part is staged, and no more comes."""
        image = self.site.create("good:half-downloaded")
        self.site.downloads.hold(image)
        self._closing.callback(self.site.downloads.release, image)
        self.site.download(image, self._data)
        until("a part of it is there", lambda: has_bytes(self.site.glance.folder / "staging" / image))
        return image

    def downloaded(self) -> str:
        """The plugin has all of it, and hangs."""
        name = new_name()
        image = self.site.create(name)
        self.site.download(image, self._data)
        self._seen(name)
        return image

    def _send(self, image: str, door: str, count: int) -> None:
        self._closing.enter_context(HalfUpload(self.site.api, image, door, self._data, count))

    def _seen(self, name: str) -> None:
        until("the plugin has all of it", lambda: f"has all of {name}." in self.site.glance.log)


def new_name() -> str:
    """The name of an image that hangs, and that the log says nothing of yet."""
    return f"hang:{uuid.uuid4()}"


def has_bytes(path: Path) -> bool:
    """True if something is in this file."""
    return path.exists() and path.stat().st_size > 0


def is_given_back(state: State) -> bool:
    """True if the tenant can begin anew, and is told why."""
    return is_as_new(state) and state.properties.get("douane_code") == "interrupted"
