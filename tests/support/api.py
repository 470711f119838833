"""The Image API without a server: requests go to the ASGI application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from douane.api.app import make_app
from douane.api.identity.rights import Identity, make_identity
from douane.api.service import ApiOptions, Service
from douane.catalog import Catalog, Image
from douane.imports.service_stores import ServiceStore, Stores
from douane.imports.settings import StoreSettings
from douane.stores import open_store

ADMIN = "admin@p0"
"""Senders of requests: roles, and the project behind "@"."""
OWNER = "member@p1"
READER = "reader@p1"
OTHER = "member@p2"
SERVICE = "service@services"


class HeaderAuthentication:
    """The sender is who the header X-Auth-Token says: roles with commas, "@", and a project."""

    waits = True

    def identify(self, headers: Mapping[str, str], method: str, path: str) -> Identity:
        roles, _, project = headers["x-auth-token"].partition("@")
        return make_identity("u1", project, roles.split(","))


class Api:
    """A service with a catalog and two file stores in a folder, and a client of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.catalog = Catalog(folder / "catalog.sqlite")
        self.stores = {name: open_store(f"file:{folder / name}") for name in ("file", "second")}
        opened = tuple(
            ServiceStore(name, store, StoreSettings(url=f"file:{folder / name}")) for name, store in self.stores.items()
        )
        self.service = Service(
            catalog=self.catalog,
            stores=Stores(opened, "file"),
            authenticator=HeaderAuthentication(),
            options=ApiOptions(**options),
        )
        self.app = make_app(self.service)

    def request(self, method: str, path: str, sender: str | None = OWNER, **more: Any) -> httpx.Response:
        """The answer to one request."""
        headers = {**({"X-Auth-Token": sender} if sender else {}), **more.pop("headers", {})}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://image.example") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def create(self, sender: str = OWNER, **fields: Any) -> dict[str, Any]:
        """A new image."""
        response = self.request("POST", "/v2/images", sender, json=fields)
        assert response.status_code == 201, response.text
        document: dict[str, Any] = response.json()
        return document

    def activate(self, image_id: str, content: bytes, stores: tuple[str, ...] = ("file",)) -> Image:
        """Make a queued image active with this content, as an import does."""
        task = self.catalog.begin_import(image_id, method="file", plan={}, on_failure="requeue")
        for name in stores:
            staged = self.stores[name].stage(task.id)
            with open(staged.fd, "wb", closefd=False) as file:
                file.write(content)
            staged.finish(len(content))
            self.stores[name].publish(staged, image_id)
        digests = {"md5": "0" * 32, "sha512": "1" * 128}
        ready = self.catalog.ready_to_publish(task, report={}, size=len(content), digests=digests)
        return self.catalog.activate(ready, stores)

    def close(self) -> None:
        """Close the catalog and the threads."""
        self.service.close()
