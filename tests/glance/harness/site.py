"""A Glance with Douane in it: the filter, the import plugin, and the plan of both."""

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
    state: Path, where: Mapping[str, str], *, version: str = "33", serving: Serving | None = None
) -> GlanceConfig:
    """Filter and import plugin; `where` is the plan or the agent, as the filter's settings name it. `state` is made."""
    state.mkdir()
    paste = PasteFilter("douane", "douane.glance.filter:filter_factory", {**where, "state": str(state)})
    return GlanceConfig(version, (paste,), ("douane",), serving or Serving())


@dataclass
class Site:
    """One that runs."""

    glance: Glance
    downloads: Downloads

    @property
    def api(self) -> Api:
        """As the tenant sees it."""
        return self.glance.api()

    def create(self, name: str, **more: object) -> str:
        """A new image; its id."""
        return create(self.api, name=name, **more)

    def put(self, image: str, door: str, data: bytes | Iterable[bytes], *, chunked: bool = False) -> Reply:
        """Send it to `stage` or `file`."""
        return put(self.api, image, door, data, chunked=chunked)

    def start_import(self, image: str, **more: object) -> None:
        """Of what is staged, or with `uri` a download. Asked again where the task before is just ending."""
        method = "web-download" if "uri" in more else "glance-direct"
        for _ in range(50):
            reply = start_import(self.api, image, method, **more)
            if reply.status != 409 or BUSY not in reply.text:
                break
        assert reply.status == 202, reply.text

    def download(self, image: str, data: bytes) -> None:
        """Have Glance fetch this."""
        self.start_import(image, uri=self.downloads.add(image, data))

    def state(self, image: str) -> State:
        """What is there of it."""
        return state_of(self.api, self.glance.folders, image)

    def rename(self, image: str, name: str) -> None:
        """So that the plugin does something else."""
        self.change(image, {"op": "replace", "path": "/name", "value": name})

    def change(self, image: str, *changes: dict[str, str]) -> None:
        """A JSON patch."""
        body = json.dumps(changes).encode()
        reply = self.api.request("PATCH", f"/v2/images/{image}", body, headers={"Content-Type": JSON_PATCH})
        assert reply.status == 200, reply.text


def is_as_new(state: State) -> bool:
    """True if the tenant can begin anew, as if nothing had been sent."""
    return (state.status, state.size, state.staged, state.stored, state.importing_to) == ("queued", None, (), (), "")
