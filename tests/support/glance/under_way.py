"""Images on their way into Glance, for tests that kill it."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from pathlib import Path

from support.waiting import until

from .half_upload import HalfUpload
from .site import Site, is_as_new
from .state import State


class UnderWay:
    """Images on their way in, each at another stage."""

    def __init__(self, site: Site, closing: ExitStack, data: bytes) -> None:
        """`closing` closes the connections."""
        self.site = site
        self._closing = closing
        self._data = data

    def half_sent(self, action: str) -> str:
        """An upload of which half is sent, and a part is staged or stored."""
        image = self.site.create(f"good:half-{action}")
        self._send(image, action, len(self._data) // 2)
        folder = self.site.glance.folder / ("staging" if action == "stage" else "stores/fast")
        until("a part of the image is on disk", lambda: has_bytes(folder / image))
        return image

    def all_sent(self, action: str) -> str:
        """An upload of which the plugin has all bytes, and Glance not the last."""
        name = new_name()
        image = self.site.create(name)
        self._send(image, action, len(self._data))
        self._wait_for_plugin(name)
        return image

    def importing(self) -> str:
        """An import of a staged image, whose plugin has all bytes and hangs."""
        image = self.site.create("good:staged")
        assert self.site.put(image, "stage", self._data).status == 204
        name = new_name()
        self.site.rename(image, name)
        self.site.start_import(image)
        self._wait_for_plugin(name)
        return image

    def half_downloaded(self) -> str:
        """A download of which a part is staged, and no more bytes come."""
        image = self.site.create("good:half-downloaded")
        self.site.downloads.hold(image)
        self._closing.callback(self.site.downloads.release, image)
        self.site.download(image, self._data)
        until("a part of the image is on disk", lambda: has_bytes(self.site.glance.folder / "staging" / image))
        return image

    def downloaded(self) -> str:
        """A download of which the plugin has all bytes, and hangs."""
        name = new_name()
        image = self.site.create(name)
        self.site.download(image, self._data)
        self._wait_for_plugin(name)
        return image

    def _send(self, image: str, action: str, count: int) -> None:
        self._closing.enter_context(HalfUpload(self.site.api, image, action, self._data, count))

    def _wait_for_plugin(self, name: str) -> None:
        until("the plugin has all bytes", lambda: f"has all of {name}." in self.site.glance.log)


def new_name() -> str:
    """A new name of an image that hangs, which the log does not have yet."""
    return f"hang:{uuid.uuid4()}"


def has_bytes(path: Path) -> bool:
    """True if this file exists and is not empty."""
    return path.exists() and path.stat().st_size > 0


def is_recovered(state: State) -> bool:
    """True if the image is queued again with the reason."""
    return is_as_new(state) and state.properties.get("douane_code") == "interrupted"
