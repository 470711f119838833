"""An image's metadata through Glance's API, as the user who sent the request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from douane.declared import DeclaredImage
from douane.glance import internals
from douane.glance.image_metadata import (
    Texts,
    changed_properties,
    declared_properties,
    fewer_changes,
    omitted,
    property_changes,
)
from douane.glance.outcome import PROOF
from douane.plan.binding import Sender
from douane.report import PropertyValue

from .api_client import App, Response, send
from .routes import Route

log = logging.getLogger("douane")

Prover = Callable[[Mapping[str, Any], Mapping[str, str]], str | None]
"""Makes a proof from an image as the API shows it, and its properties to be; None: no proof."""

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"


class NotReadable(Exception):
    """The user may not see the image that the request is for; `response` is Glance's."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def declared_image(app: App, environ: dict[str, Any], route: Route, plugins: Collection[str]) -> DeclaredImage:
    """What the image's owner has declared, and who sends it. Raises NotReadable.

    `plugins` are the plan's: a property in the namespace of one is left out. Owner and roles are those that the filters
    before this one have determined; without such a filter (`authtoken`), they are whatever the client claims.
    """
    response = send(app, environ, "GET", route.path)
    if response.code != 200:
        raise NotReadable(response)
    image = json.loads(response.body)
    return DeclaredImage(
        name=image.get("name"),
        disk_format=image.get("disk_format"),
        container_format=image.get("container_format"),
        properties=declared_properties(image, plugins),
        owner=image.get("owner") or environ.get("HTTP_X_PROJECT_ID"),
        roles=_roles(environ, "HTTP_X_ROLES"),
    )


def sender_of(environ: Mapping[str, Any], route: Route) -> Sender:
    """Who sends the image, and through which door. Roles are as in :func:`declared_image`; those of the service (Nova,
    Cinder) that sends the image for a user come with the service's own token."""
    roles = _roles(environ, "HTTP_X_ROLES") + _roles(environ, "HTTP_X_SERVICE_ROLES")
    return Sender("upload" if route.action == "file" else "import", roles)


def _roles(environ: Mapping[str, Any], key: str) -> tuple[str, ...]:
    roles = (role.strip() for role in (environ.get(key) or "").split(","))
    return tuple(role for role in roles if role)


def set_properties(
    app: App,
    environ: dict[str, Any],
    route: Route,
    properties: Mapping[str, PropertyValue | None],
    plugins: Collection[str],
    prove: Prover | None = None,
) -> str | None:
    """Set `properties` on the image (None: remove), and remove those of an earlier attempt: its outcome, and what
    `plugins` set then. `prove` makes the proof of what is on the image afterwards.

    If Glance refuses them, ever fewer are set. Return what went wrong, for the log; None if nothing did. Raises what
    Glance raises.
    """
    response = send(app, environ, "GET", route.path)
    if response.code != 200:
        return response.status
    image = json.loads(response.body)
    changes, unsettable = property_changes(image, properties, plugins)
    for name in unsettable:
        log.error("image %.80r: %s is no property that can be set on it; it is left out", route.image, name)
    if prove is not None:
        texts = {name: value for name, value in image.items() if isinstance(value, str)}
        changes[PROOF] = prove(image, changed_properties(texts, changes))
    environ = internals.with_role(environ)
    problem: str | None = None
    for candidate in fewer_changes(changes, plugins):
        patch = _json_patch(image, candidate)
        if patch:
            body = json.dumps(patch).encode()
            response = send(app, environ, "PATCH", route.path, body=body, content_type=PATCH_TYPE)
        if not patch or response.code == 200:
            return problem and f"{problem}; left out: {', '.join(omitted(changes, candidate))}"
        problem = problem or f"{response.status}: {response.body[:500].decode(errors='replace')}"
    return problem


def _json_patch(image: Mapping[str, Any], changes: Texts) -> list[dict[str, Any]]:
    patch: list[dict[str, Any]] = []
    for name, value in changes.items():
        path = "/" + name.replace("~", "~0").replace("/", "~1")  # RFC 6901, 3
        if value is not None:
            patch.append({"op": "replace" if name in image else "add", "path": path, "value": value})
        elif name in image:
            patch.append({"op": "remove", "path": path})
    return patch
