"""The documents of images, members and tasks (1.2, 1.6, no. 13 to 15, 21 and 22), made from the catalog's records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from douane.api.requests.image_fields import READ_ONLY, RESERVED, RESERVED_PREFIXES
from douane.catalog.records import CopyFacts, Image, Member, Task
from douane.imports.locations import LOCATION_IMPORT, MARK, MARKED_BY

from .task_progress import progress_document

Document = dict[str, Any]

_TENANTS_REPORT = (
    "outcome", "code", "message", "received", "stored", "disk_format", "container_format", "virtual_size", "properties",
    "proposed", "seconds", "retry_after", "plan_sha256", "summary",
)  # fmt: skip
_TENANTS_VERDICT = (
    "plugin", "outcome", "code", "message", "mode", "warnings", "properties", "proposed", "bytes_seen", "bytes_total",
    "seconds", "retry_after", "decisive",
)  # fmt: skip
"""A report without what is the operator's: tracebacks, documents, and the code, paths and sandbox of plugins."""
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_CREDENTIALS = re.compile(r"^([^/?#]*//)[^/?#]*@")


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """What a document of an image shows beside its record."""

    task: Task | None = None
    """The task that imports or copies the image now."""

    outcome: Literal["refused", "deferred", "undecided"] = "refused"
    """Of the last task, if it failed."""

    default_store: str = "file"
    staged_size: int | None = None
    """Bytes that are staged and not imported yet."""

    findings: bool = False
    """Show the properties that plugins set. Terraform plans the removal of properties that it does not know, so by
    default only the task has them."""

    direct_url: str | None = None
    """Where the bytes are, if the operator and the identity's role allow it (no. 30)."""


PLAIN = ImageView()


def image_document(image: Image, view: ImageView = PLAIN) -> Document:
    """The document of an image: base fields and properties side by side, without an object around them.

    A failed import shows ``douane_outcome``, ``douane_code`` and ``douane_reason`` while the image waits for another
    try; nothing of them stays after a success. ``douane_not_inspected`` stays: no plugin has read these bytes.
    """
    path = f"/v2/images/{image.id}"
    document: Document = {
        **_properties(image, view),
        **_progress(image, view),
        **_reason(image, view),
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "visibility": image.visibility,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size if image.size is not None else view.staged_size,
        "virtual_size": image.virtual_size,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "os_hidden": image.hidden,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "tags": list(image.tags),
        "created_at": time_text(image.created_at),
        "updated_at": time_text(image.updated_at),
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }
    if image.status in ("active", "deactivated") and image.stores:
        document["stores"] = ",".join(image.stores)
    if image.variants:
        document["douane_variants"] = msgspec.json.encode(image.variants).decode()
    if image.sources.get(MARK) == MARKED_BY:
        document |= {MARK: image.properties[MARK], "size": None}
    if view.direct_url is not None:
        document["direct_url"] = view.direct_url
    return document


def image_list_document(documents: Iterable[Document], first: str, following: str | None) -> Document:
    """A page of images (no. 7), with the paths of the first and the next page."""
    links = {"next": following} if following is not None else {}
    return {"images": list(documents), "first": first, **links, "schema": "/v2/schemas/images"}


def member_document(member: Member) -> Document:
    """The document of a member (no. 13)."""
    return {
        "member_id": member.project,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": time_text(member.created_at),
        "updated_at": time_text(member.updated_at),
        "schema": "/v2/schemas/member",
    }


def member_list_document(members: Iterable[Member]) -> Document:
    """The members of an image (no. 14)."""
    return {"members": [member_document(member) for member in members], "schema": "/v2/schemas/members"}


def task_document(task: Task, *, is_admin: bool, is_owner: bool = False, waits: bool = False) -> Document:
    """The document of a task (1.6); `waits`: no worker has begun. An admin sees the report whole; an admin and the
    owner of the image see the ``progress`` of a run, which is an extension. Others, who see a public or shared image,
    read nothing of who requested its import, and no query of its URL: that of a signed URL is a key to the bytes.

    Keys without a value are left out: gophercloud reads `expires_at` as a time.
    """
    document = task_stub(task, waits=waits)
    optional: Document = {"image_id": task.image_id}
    if is_admin or is_owner:
        optional |= {
            "request_id": task.request_id,
            "user_id": task.user_id,
            "progress": progress_document(task),
        }
    return {
        **document,
        **{name: value for name, value in optional.items() if value},
        "input": {
            "image_id": task.image_id,
            "import_req": _import_req(task.import_req, with_query=is_admin or is_owner),
            "backend": list(task.stores),
        },
        "result": _report(task.report, is_admin),
        "message": task.message or "",
    }


def task_stub(task: Task, *, waits: bool = False) -> Document:
    """A task in the list of all tasks (no. 22): without input, result and message."""
    document = {
        "id": task.id,
        "type": "location_import" if task.method == LOCATION_IMPORT else "api_image_import",
        "status": _task_status(task, waits),
        "owner": task.owner or "",
        "created_at": time_text(task.created_at),
        "updated_at": time_text(task.updated_at),
        "self": f"/v2/tasks/{task.id}",
        "schema": "/v2/schemas/task",
    }
    return {**document, "expires_at": time_text(task.expires_at)} if task.expires_at else document


def task_list_document(documents: Iterable[Document], following: str | None = None) -> Document:
    """A page of the tasks of an image (no. 21), with the path of the next page."""
    links = {"next": following} if following is not None else {}
    return {"tasks": list(documents), **links, "schema": "/v2/schemas/tasks"}


def task_page_document(stubs: Iterable[Document], first: str, following: str | None) -> Document:
    """A page of all tasks (no. 22)."""
    links = {"next": following} if following is not None else {}
    return {"tasks": list(stubs), "first": first, **links, "schema": "/v2/schemas/tasks"}


def location_list_document(
    locations: Iterable[tuple[str, str]], variants: Mapping[str, CopyFacts] | None = None
) -> list[Document]:
    """Where the bytes are, for services (no. 29): pairs of a URL and the id of its store. The metadata of a store that
    holds a variant of the image have the facts of its bytes."""
    facts = {store: msgspec.to_builtins(variant) for store, variant in (variants or {}).items()}
    return [{"url": url, "metadata": {"store": store, **facts.get(store, {})}} for url, store in locations]


def time_text(time: str) -> str:
    """A time of the catalog with whole seconds, as Glance shows times."""
    return time[:19] + "Z"


def _properties(image: Image, view: ImageView) -> dict[str, str]:
    return {
        name: value
        for name, value in image.properties.items()
        if (view.findings or name not in image.sources)
        and name not in READ_ONLY
        and name not in RESERVED
        and not name.startswith(RESERVED_PREFIXES)
    }


def _progress(image: Image, view: ImageView) -> dict[str, str]:
    """Glance's own properties, which Nova and Tempest poll: they are empty, and not absent, outside of imports."""
    task = view.task
    failed = list(image.failed_stores)
    if image.code is not None and not failed:
        failed = [view.default_store]
    if task is None:
        return {"os_glance_importing_to_stores": "", "os_glance_failed_import": ",".join(failed)}
    waiting = [store for store in task.stores if store not in image.stores and store not in failed]
    return {
        "os_glance_importing_to_stores": ",".join(waiting),
        "os_glance_failed_import": ",".join(failed),
        "os_glance_import_task": task.id,
    }


def _reason(image: Image, view: ImageView) -> dict[str, str]:
    if image.code is None or image.status not in ("queued", "uploading"):
        return {}
    return {
        "douane_outcome": view.outcome,
        "douane_code": image.code,
        "douane_reason": image.message or image.code,
    }


def _task_status(task: Task, waits: bool) -> str:
    if task.outcome is None:
        return "pending" if waits else "processing"
    return "success" if task.outcome == "accepted" else "failure"


def _report(report: Any, is_admin: bool) -> Document | None:
    if not isinstance(report, dict) or "running" in report:
        return None  # or it is that of a run that has not ended
    if is_admin:
        return report
    variants = report.get("variants")
    by_store = {store: _tenants(run) for store, run in variants.items()} if isinstance(variants, dict) else {}
    return {**_tenants(report), **({"variants": by_store} if by_store else {})}


def _tenants(report: Any) -> Document:
    """The parts of the report of a run that are a tenant's, too."""
    if not isinstance(report, dict):
        return {}
    verdicts = report.get("verdicts")
    listed = verdicts if isinstance(verdicts, list) else []
    chosen = [_chosen(verdict, _TENANTS_VERDICT) for verdict in listed if isinstance(verdict, dict)]
    return {**_chosen(report, _TENANTS_REPORT), "verdicts": chosen}


def _import_req(request: Any, *, with_query: bool) -> Document:
    """The request as it was sent, without the user and the password in its URL: who may see the image sees the task."""
    if not isinstance(request, dict):
        return {}
    method = request.get("method")
    if not isinstance(method, dict) or not isinstance(method.get("uri"), str):
        return request
    uri = _CREDENTIALS.sub(r"\1", method["uri"], count=1)
    return {**request, "method": {**method, "uri": uri if with_query else _QUERY.sub("", uri)}}


def _chosen(fields: Mapping[str, Any], names: Iterable[str]) -> Document:
    return {name: fields[name] for name in names if name in fields}
