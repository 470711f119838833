"""A Glance with Douane in it: the filter, the import plugin, and their plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .downloads import Downloads
from .glance_config import GlanceConfig
from .glance_server import Glance
from .http import Api, Reply
from .images import create, put, start_import
from .pipeline import PasteFilter
from .state import State, state_of
from .wsgi_servers import Serving

BUSY = "Image has active task"
JSON_PATCH = "application/openstack-images-v2.1-json-patch"


def with_douane(
    state: Path, settings: Mapping[str, str], *, version: str = "33", serving: Serving | None = None
) -> GlanceConfig:
    """Filter and import plugin with `settings`, which name the plan or the agent. Creates the folder `state`."""
    state.mkdir()
    paste = PasteFilter("douane", "douane.glance.filter:filter_factory", {**settings, "state": str(state)})
    return GlanceConfig(version, (paste,), ("douane",), serving or Serving())


@dataclass
class Site:
    """A running Glance."""

    glance: Glance
    downloads: Downloads

    @property
    def api(self) -> Api:
        """Its API, for the tenant."""
        return self.glance.api()

    def create(self, name: str, **options: object) -> str:
        """Create an image, and return its id."""
        return create(self.api, name=name, **options)

    def put(self, image: str, action: str, data: bytes | Iterable[bytes], *, chunked: bool = False) -> Reply:
        """Upload to `stage` or `file`."""
        return put(self.api, image, action, data, chunked=chunked)

    def start_import(self, image: str, **options: object) -> None:
        """Import the staged data, or with `uri` a download. Repeats the request while an earlier task is ending."""
        method = "web-download" if "uri" in options else "glance-direct"
        for _ in range(50):
            reply = start_import(self.api, image, method, **options)
            if reply.status != 409 or BUSY not in reply.text:
                break
        assert reply.status == 202, reply.text

    def download(self, image: str, data: bytes) -> None:
        """Have Glance download these bytes."""
        self.start_import(image, uri=self.downloads.add(image, data))

    def state(self, image: str) -> State:
        """The state of an image."""
        return state_of(self.api, self.glance.folders, image)

    def rename(self, image: str, name: str) -> None:
        """Rename an image, so that the plugin acts differently."""
        self.change(image, {"op": "replace", "path": "/name", "value": name})

    def change(self, image: str, *changes: dict[str, str]) -> None:
        """Apply a JSON patch."""
        body = json.dumps(changes).encode()
        reply = self.api.request("PATCH", f"/v2/images/{image}", body, headers={"Content-Type": JSON_PATCH})
        assert reply.status == 200, reply.text


def is_as_new(state: State) -> bool:
    """True if the image is queued, as if nothing had been sent."""
    return (state.status, state.size, state.staged, state.stored, state.importing_to) == ("queued", None, (), (), "")
