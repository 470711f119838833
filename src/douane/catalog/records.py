"""The records that the catalog returns: frozen, ready for JSON (msgspec)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from douane.declared import DeclaredImage

Status = Literal["queued", "uploading", "importing", "active", "deactivated", "deleted"]
Visibility = Literal["public", "community", "shared", "private"]
MemberStatus = Literal["pending", "accepted", "rejected"]
Step = Literal["waiting", "receiving", "staged", "publishing", "done"]
Verdict = Literal["accepted", "refused", "undecided"]
TaskStatus = Literal["pending", "processing", "success", "failure"]
OnFailure = Literal["requeue", "remove"]


class CopyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the bytes of one copy."""

    size: int
    """Bytes."""

    virtual_size: int | None
    """Bytes; None if not known."""

    disk_format: str | None
    container_format: str | None
    digests: dict[str, str]
    """Hexadecimal digits, by the name of the algorithm."""


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image at the time it was read. Times are UTC, RFC 3339."""

    id: str
    name: str | None
    status: Status
    owner: str | None
    visibility: Visibility
    """Who may see the image beside its owner: everybody ("public", and "community", which lists leave out), the members
    ("shared"), or nobody ("private")."""

    protected: bool
    """True: the image cannot be deleted."""

    hidden: bool
    """True: lists leave the image out."""

    min_disk: int
    """Gibibytes of disk that a server needs for this image; 0 for no such need."""

    min_ram: int
    """Mebibytes."""

    tags: list[str]
    stores: list[str]
    """The ids of the stores that hold the bytes; of a deleted image, those where they may still be."""

    variants: dict[str, CopyFacts]
    """By store, the copies that are not the image's own bytes: a transform made them for this store."""

    disk_format: str | None
    container_format: str | None
    size: int | None
    """Bytes; None until an import was accepted."""

    virtual_size: int | None
    """Bytes; None if not known."""

    digests: dict[str, str]
    """Hexadecimal digits, by the name of the algorithm."""

    properties: dict[str, str]
    """The tenant's properties, and those of plugins, which hide a tenant's property of the same name."""

    sources: dict[str, str]
    """The plugin of each property that a plugin set."""

    code: str | None
    """The reason of the last failed import, until the next import begins; so are `message` and `failed_stores`."""

    message: str | None
    failed_stores: list[str]
    wanted_store: str | None
    """The id of the store of imports that name none; None: the default store."""

    task_id: str | None
    """The import or the copying that owns the image now."""

    created_at: str
    updated_at: str

    @property
    def facts(self) -> CopyFacts:
        """The facts of the image's own bytes."""
        return CopyFacts(
            size=self.size or 0,
            virtual_size=self.virtual_size,
            disk_format=self.disk_format,
            container_format=self.container_format,
            digests=self.digests,
        )

    @property
    def own_stores(self) -> list[str]:
        """The ids of the stores that hold the image's own bytes."""
        return [store for store in self.stores if store not in self.variants]

    @property
    def checksum(self) -> str | None:
        """The MD5 of the bytes, if the plan has it computed."""
        return self.digests.get("md5")

    @property
    def os_hash_algo(self) -> str | None:
        """The name of the strongest digest: Glance's secure hash, which clients verify by this name."""
        return strongest_digest(self.digests)

    @property
    def os_hash_value(self) -> str | None:
        """The digest that `os_hash_algo` names."""
        return self.digests.get(self.os_hash_algo or "")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A project that an image is shared with, at the time it was read. Times are UTC, RFC 3339."""

    image_id: str
    project: str
    status: MemberStatus
    created_at: str
    updated_at: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An import task at the time it was read. Times are UTC, RFC 3339."""

    id: str
    image_id: str
    method: str
    plan: Any
    on_failure: OnFailure
    step: Step
    done: int
    """Bytes received."""

    total: int | None
    """Bytes in the image; None if not known."""

    report: Any
    outcome: str | None
    """None while the import runs, then "accepted", "refused", "undecided" or "cancelled"."""

    code: str | None
    message: str | None
    token: int
    """The fencing token: it grows with every worker that takes the task over, and only the greatest counts."""

    size: int | None
    """Bytes. The results, from `size` to `properties`, are recorded at the step "publishing"."""

    virtual_size: int | None
    digests: dict[str, str]
    disk_format: str | None
    container_format: str | None
    properties: dict[str, tuple[str | None, str]]
    """Value and plugin, by name."""

    owner: str | None
    """The project that requested the import, `user_id` its user; None for an import on the command line."""

    user_id: str | None
    request_id: str | None
    """The id of the HTTP request."""

    import_req: Any
    """The request's body as it was sent, or None."""

    stores: list[str]
    """The ids of the stores that the image is imported into; until the import is requested, of those that it is staged
    in."""

    expires_at: str | None
    """When the record of an ended task may be removed; None: it stays."""

    trace: str | None = None
    """The step of a trace that requested the import: a W3C traceparent."""

    worker: str | None
    """Who works on it, until `lease_until` on the database's clock. None: it waits, it has ended, or it is an import on
    the command line."""

    lease_until: str | None
    attempts: int
    """How many workers have begun to run it."""

    staged_key: str | None
    """The key under which this attempt stages its bytes."""

    source: Any
    """What another attempt can begin with: ``{"spool": key}``, ``{"url": …}`` or ``{"staged": key, "store": id}``;
    with "stores", a list of ids, if several have the staged bytes."""

    requested: bool
    """False: bytes were staged, and their import has not been requested yet."""

    plan_digest: str | None
    """The digest of the plan that the verdict is of."""

    declared: DeclaredImage | None
    """The image's facts when the worker began. The worker judges by these, and never by the image as it is now: a
    verdict on staged bytes holds as long as they are the same."""

    verdict: Verdict | None
    """The verdict on staged bytes, if they are what is published; None: they have to be run (again)."""

    variants: dict[str, CopyFacts] = {}
    """By store, the copies of this import that differ from the image."""

    needs: str | None = None
    """What the worker has to reach while the task waits; see :mod:`douane.catalog.needs`."""

    created_at: str
    updated_at: str


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who requested an import, and into which stores: facts of a task that the catalog only keeps."""

    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    import_req: Any = None
    stores: tuple[str, ...] = ("file",)
    expires_at: str | None = None
    trace: str | None = None
    """A W3C traceparent."""

    roles: tuple[str, ...] = ()
    """The user's roles, which plugins see."""


COMMAND_LINE = ImportRequest()


def now() -> str:
    """The current time, as :func:`time_text`."""
    return time_text(datetime.now(UTC))


def time_text(time: datetime) -> str:
    """A time with its zone as UTC, RFC 3339 with six digits: text sorts in the order of time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def strongest_digest(digests: Mapping[str, str]) -> str | None:
    """The name of the digest with the most digits, in the order of names among equals; None without digests."""
    return max(sorted(digests), key=lambda name: len(digests[name]), default=None)


def to_json(value: Any) -> str:
    """JSON text of `value`. Raises TypeError or ValueError if msgspec cannot encode it."""
    return msgspec.json.encode(value).decode()


def image_of(
    row: Mapping[str, Any],
    properties: Mapping[str, Mapping[str, str]],
    tags: Sequence[str] = (),
    stores: Mapping[str, CopyFacts | None] | None = None,
) -> Image:
    """The record of a row of ``images``; `properties` maps a source ("" is the tenant) to names and values, `stores` an
    id to the facts of a copy that is not the image's own bytes."""
    copies = stores or {}
    merged = dict(properties.get("", {}))
    sources: dict[str, str] = {}
    for source in sorted(properties):
        if source:
            merged.update(properties[source])
            sources.update(dict.fromkeys(properties[source], source))
    return msgspec.convert(
        {
            **{name: row[name] for name in Image.__struct_fields__ if name in row},
            "digests": _json(row["digests"], {}),
            "failed_stores": _json(row["failed_stores"], []),
            "properties": dict(sorted(merged.items())),
            "sources": dict(sorted(sources.items())),
            "tags": sorted(tags),
            "stores": sorted(copies),
            "variants": {store: facts for store, facts in sorted(copies.items()) if facts is not None},
        },
        Image,
    )


def copy_facts_of(text: str | None) -> CopyFacts | None:
    """The record of the column ``facts`` of ``stores``."""
    return None if text is None else msgspec.json.decode(text, type=CopyFacts)


def member_of(row: Mapping[str, Any]) -> Member:
    """The record of a row of ``members``."""
    return msgspec.convert({name: row[name] for name in Member.__struct_fields__}, Member)


def task_of(row: Mapping[str, Any]) -> Task:
    """The record of a row of ``tasks``."""
    return msgspec.convert(
        {
            **{name: row[name] for name in Task.__struct_fields__},
            "plan": _json(row["plan"], None),
            "report": _json(row["report"], None),
            "digests": _json(row["digests"], {}),
            "properties": _json(row["properties"], {}),
            "import_req": _json(row["import_req"], None),
            "stores": _json(row["stores"], []),
            "source": _json(row["source"], None),
            "declared": _json(row["declared"], None),
            "variants": _json(row["variants"], {}),
        },
        Task,
    )


def _json(text: str | None, default: Any) -> Any:
    return default if text is None else msgspec.json.decode(text)
