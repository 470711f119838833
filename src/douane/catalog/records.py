"""What the catalog hands out: frozen records, ready for JSON (msgspec)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Status = Literal["queued", "uploading", "importing", "active", "deactivated", "deleted"]
Step = Literal["receiving", "publishing", "done"]
OnFailure = Literal["requeue", "remove"]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image as it was when it was read.

    ``size`` and ``virtual_size`` are in bytes, known once the image was let in. ``digests`` maps an
    algorithm's name to hexadecimal digits. ``properties`` are the tenant's and the plugins'; ``sources``
    names the plugin for each that a plugin set, and that one wins over a tenant's of the same name. ``code``,
    ``message`` and ``failed_stores`` tell of the last failed import, until the next one begins. ``task_id``
    is the import that owns the image now. Times are UTC, RFC 3339.
    """

    id: str
    name: str | None
    status: Status
    owner: str | None
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    digests: dict[str, str]
    properties: dict[str, str]
    sources: dict[str, str]
    code: str | None
    message: str | None
    failed_stores: list[str]
    task_id: str | None
    created_at: str
    updated_at: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An import task as it was when it was read; whoever holds it acts with its ``token``.

    ``done`` and ``total`` are bytes (``total`` None when not known). ``outcome`` is None while the import is
    under way, then "accepted", "refused", "undecided" or "cancelled". What the import found (``size`` to
    ``properties``) is there from the step "publishing" on; ``properties`` maps a name to (value, plugin).
    ``token`` grows with every worker that takes the task over: only the greatest one counts. Times are UTC,
    RFC 3339.
    """

    id: str
    image_id: str
    method: str
    plan: Any
    on_failure: OnFailure
    step: Step
    done: int
    total: int | None
    report: Any
    outcome: str | None
    code: str | None
    message: str | None
    token: int
    size: int | None
    virtual_size: int | None
    digests: dict[str, str]
    disk_format: str | None
    container_format: str | None
    properties: dict[str, tuple[str | None, str]]
    created_at: str
    updated_at: str


def now() -> str:
    """This instant, UTC, RFC 3339 with six digits: sorts as text as it does as time."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def to_json(value: Any) -> str:
    """JSON text of anything msgspec can encode; what it cannot is its caller's TypeError or ValueError."""
    return msgspec.json.encode(value).decode()


def image_of(row: Mapping[str, Any], properties: Mapping[str, Mapping[str, str]]) -> Image:
    """The record of a row of ``images``; `properties` maps a source ("" is the tenant) to its names and
    values."""
    seen = dict(properties.get("", {}))
    sources: dict[str, str] = {}
    for source in sorted(properties):
        if source:
            seen.update(properties[source])
            sources.update(dict.fromkeys(properties[source], source))
    return msgspec.convert(
        {
            **{name: row[name] for name in Image.__struct_fields__ if name in row},
            "digests": _json(row["digests"], {}),
            "failed_stores": _json(row["failed_stores"], []),
            "properties": dict(sorted(seen.items())),
            "sources": dict(sorted(sources.items())),
        },
        Image,
    )


def task_of(row: Mapping[str, Any]) -> Task:
    """The record of a row of ``tasks``."""
    return msgspec.convert(
        {
            **{name: row[name] for name in Task.__struct_fields__},
            "plan": _json(row["plan"], None),
            "report": _json(row["report"], None),
            "digests": _json(row["digests"], {}),
            "properties": _json(row["properties"], {}),
        },
        Task,
    )


def _json(text: str | None, default: Any) -> Any:
    return default if text is None else msgspec.json.decode(text)
