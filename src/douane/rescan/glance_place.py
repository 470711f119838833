"""The images of a Glance, by its API: listed, downloaded and deactivated with the token of an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from douane.client.downloading import Download
from douane.client.images import Images
from douane.client.patience import Patience
from douane.client.tokens import Access
from douane.declared import DeclaredImage
from douane.errors import UploadError
from douane.glance.image_metadata import declared_properties
from douane.stream.source import Source

from .places import Entry, NotDeactivated, require_bytes
from .state import Judged

PAGE = 100
PATIENCE_SECONDS = 600.0
_FIRST_PAGES = tuple(
    f"/v2/images?limit={PAGE}&sort_key=id&sort_dir=asc&status=active&visibility=all&os_hidden={hidden}"
    for hidden in ("false", "true")
)


class GlancePlace:
    """See :class:`~douane.rescan.places.Place`."""

    def __init__(self, images: Images, access: Access, named: Sequence[str], plugins: Sequence[str]) -> None:
        """`named` are the ids of the only images to judge; `plugins` the names in the plan, whose properties are no
        tenant's."""
        self.name = f"glance {access.url()}"
        self._images = images
        self._access = access
        self._named = named
        self._plugins = plugins

    def pages(self) -> Iterator[list[Entry]]:
        """See Place."""
        if self._named:
            documents = [self._images.image(image_id) for image_id in self._named]
            for document in documents:
                require_bytes(str(document["id"]), document.get("status"))
            yield [self._entry(document) for document in documents]
            return
        for first in _FIRST_PAGES:
            yield from self._listed(first)

    def _listed(self, first: str) -> Iterator[list[Entry]]:
        path: str | None = first
        ids: list[str] = []
        while path is not None:
            document = self._page(path, first, ids)
            images = [image for image in document["images"] if str(image.get("id")) not in ids]
            yield [self._entry(image) for image in images if image.get("status") == "active"]
            path, ids = document.get("next"), [str(image.get("id")) for image in document["images"]]

    def _page(self, path: str, first: str, ids: Sequence[str]) -> dict[str, Any]:
        """The page at `path`, which begins behind the last of the images `ids` that were listed before it. That image
        may have been deleted while they were read, and Glance does not know it any more: then behind another one."""
        try:
            return self._images.page(path)
        except UploadError:
            marker = next((image for image in reversed(ids) if self._images.find(image) is not None), None)
            if marker is None or marker == ids[-1]:
                raise
            return self._images.page(f"{first}&marker={marker}")

    def _entry(self, document: Mapping[str, Any]) -> Entry:
        try:
            algorithm, value = document.get("os_hash_algo"), document.get("os_hash_value")
            digests = {str(algorithm): str(value)} if algorithm and value else {}
            if not digests and document.get("checksum"):
                digests = {"md5": str(document["checksum"])}
            size = int(document["size"])
            content = next((f"{name}:{digest}" for name, digest in digests.items()), f"size:{size}")
            return Entry(
                image=str(document["id"]),
                name=document.get("name"),
                size=size,
                content=content,
                digests=digests,
                declared=DeclaredImage(
                    name=document.get("name"),
                    disk_format=document.get("disk_format"),
                    container_format=document.get("container_format"),
                    properties=declared_properties(document, self._plugins),
                    owner=document.get("owner"),
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UploadError(f"Glance lists an image that is none: {error}", code="request-refused") from error

    def recorded(self, entry: Entry) -> Judged | None:
        """See Place: Glance keeps no verdicts."""
        return None

    def open(self, entry: Entry) -> Source:
        """See Place."""
        return Download(self._access, f"/v2/images/{entry.image}/file", f"the image {entry.image}", entry.size)

    def has(self, entry: Entry) -> bool:
        """See Place."""
        return self._images.find(entry.image) is not None

    def deactivate(self, entry: Entry) -> bool:
        """See Place."""
        answer = self._images.ask("POST", f"/v2/images/{entry.image}/actions/deactivate", body=b"")
        if answer.status == 404:
            return False
        if answer.status >= 300:
            may = "; the token may not deactivate it" if answer.status == 403 else ""
            raise NotDeactivated(f"{answer.sentence()}{may}")
        return True


@contextmanager
def open_glance(
    url: str | None,
    named: Sequence[str],
    plugins: Sequence[str],
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Iterator[GlancePlace]:
    """The Glance at `url`; None is that of the environment. Raises PlanError, UploadError."""
    patience = Patience(PATIENCE_SECONDS, say)
    access = Access(url, environment, patience)
    with Images(access, patience) as images:
        if access.roles is not None and "admin" not in access.roles:
            say(
                f"the token has the roles {', '.join(access.roles) or 'none'}, without admin: Glance may show it "
                "a part of the images only, and the others are not judged"
            )
        yield GlancePlace(images, access, named, plugins)
