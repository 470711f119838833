"""The tables as they are now, for SQLAlchemy Core; their history is in ``migrations/versions``.

Times are RFC 3339 text and JSON is text: both mean the same in every database. MariaDB's tables are in
``migrations/mariadb``, with further columns for the expressions and conditions of these indexes.

An index that is partial here is partial in PostgreSQL, too. To name that dialect would import it in every process: a
third of the processor time of `douane images`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
    Text,
    false,
    literal_column,
    true,
)

from .expressions import is_live, or_least, start_of

metadata = MetaData()

images = Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255)),
    Column("status", String(16), nullable=False),
    Column("owner", String(255)),
    Column("disk_format", String(64)),
    Column("container_format", String(64)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("digests", Text),
    Column("code", String(255)),
    Column("message", Text),
    Column("failed_stores", Text),
    # The import that owns the image now, and the fencing token of its worker; the token only grows.
    Column("task_id", String(36)),
    Column("token", BigInteger, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    # A row that names no visibility is closed: an image that came on the command line has no owner, so that no project
    # sees it before an operator says which may.
    Column("visibility", String(16), nullable=False, server_default="private"),
    Column("protected", Boolean, nullable=False, server_default=false()),
    Column("hidden", Boolean, nullable=False, server_default=false()),
    Column("min_disk", BigInteger, nullable=False, server_default="0"),
    Column("min_ram", BigInteger, nullable=False, server_default="0"),
    # Copies of two of the digests, to find images by.
    Column("checksum", String(255)),
    Column("os_hash_algo", String(255)),
    Column("os_hash_value", String(255)),
    # The store of imports that name none, if the image was made with one.
    Column("wanted_store", String(255)),
    CheckConstraint(
        "status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')",
        name="known_status",
    ),
    CheckConstraint("visibility IN ('public', 'community', 'shared', 'private')", name="known_visibility"),
    CheckConstraint("status <> 'importing' OR task_id IS NOT NULL", name="importing_has_a_task"),
    CheckConstraint("status NOT IN ('active', 'deactivated') OR size IS NOT NULL", name="active_has_a_size"),
)

# By what images are sorted.
_NO_TEXT: ColumnElement[str] = literal_column("''")
_NO_NUMBER: ColumnElement[int] = literal_column("-1")
SORT_KEYS: dict[str, ColumnElement[Any]] = {
    "created_at": images.c.created_at,
    "updated_at": images.c.updated_at,
    "name": or_least(images.c.name, _NO_TEXT),
    "size": or_least(images.c.size, _NO_NUMBER),
    "status": images.c.status,
    "disk_format": or_least(images.c.disk_format, _NO_TEXT),
    "container_format": or_least(images.c.container_format, _NO_TEXT),
    "id": images.c.id,
}
NOT_DELETED = is_live(images.c.status)


def _partial(name: str, *columns: ColumnElement[Any]) -> None:
    Index(name, *columns, sqlite_where=NOT_DELETED)


# What is asked of every image of a list, whatever else is asked: in the indexes that are read for it, so that the rows
# of images that do not match are not read.
TESTED = tuple(images.c[name] for name in ("hidden", "protected", "min_ram", "status", "owner", "visibility"))


def _covering(name: str, *columns: ColumnElement[Any], tested: Sequence[ColumnElement[Any]] = TESTED) -> None:
    _partial(name, *columns, *(column for column in tested if column is not columns[0]))


# One index for each order and each part of a view (everything, one owner's images, those of one visibility): the
# newest 25 of 100,000 are read in the time of the newest 25 of 1,000.
for _key, _expression in SORT_KEYS.items():
    _ties = [images.c[name] for name in ("created_at", "id") if name != _key] if _key != "id" else []
    if _key != "id":
        _covering(f"images_by_{_key}", _expression, *_ties, tested=TESTED if _key == "status" else ())
    _listed: Sequence[ColumnElement[Any]] = TESTED if _key == "created_at" else ()
    _covering(f"images_by_owner_and_{_key}", images.c.owner, _expression, *_ties, tested=_listed)
    # Of many images that are shared, few are shared with the project: most of what is read here is passed over.
    _listed = _listed or [images.c[name] for name in ("hidden", "status", "owner") if name != _key]
    _covering(f"images_by_visibility_and_{_key}", images.c.visibility, _expression, *_ties, tested=_listed)

# Indexes of filters that may match few images; those of `conditions.COVERED` are also read for a few thousand.
for _name in ("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "min_disk"):
    _partial(f"images_by_{_name}", images.c[_name], images.c.id)
for _name in ("min_ram", "protected", "hidden"):
    _covering(f"images_by_{_name}", images.c[_name], images.c.created_at, images.c.id)

# A tenant's property (source "") and a plugin's of the same name are two rows: neither can overwrite the
# other.
properties = Table(
    "properties",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("source", String(255), primary_key=True),
    Column("value", Text, nullable=False),
)
VALUE_START = start_of(properties.c.value)
Index("properties_by_value", properties.c.name, VALUE_START, properties.c.image_id)

tags = Table(
    "tags",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id"), primary_key=True),
    Column("tag", String(255), primary_key=True),
)
Index("tags_by_tag", tags.c.tag, tags.c.image_id)

members = Table(
    "members",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id"), primary_key=True),
    Column("project", String(255), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    CheckConstraint("status IN ('pending', 'accepted', 'rejected')", name="known_member_status"),
)
Index("members_by_project", members.c.project, members.c.status, members.c.image_id)

# The rows of a deleted image stay until its bytes are gone from that store.
stores = Table(
    "stores",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id"), primary_key=True),
    Column("store", String(255), primary_key=True),
    # The facts of a copy that a transform made for this store, and its size; of most copies they are the image's.
    Column("facts", Text),
    Column("size", BigInteger),
)
Index("stores_by_store", stores.c.store, stores.c.image_id)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("image_id", String(36), ForeignKey("images.id"), nullable=False),
    Column("method", String(64), nullable=False),
    Column("plan", Text, nullable=False),
    Column("on_failure", String(16), nullable=False),
    Column("step", String(16), nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("report", Text),
    Column("outcome", String(16)),
    Column("code", String(255)),
    Column("message", Text),
    Column("token", BigInteger, nullable=False),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("digests", Text),
    Column("disk_format", String(64)),
    Column("container_format", String(64)),
    Column("properties", Text),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("owner", String(255)),
    Column("user_id", String(255)),
    Column("request_id", String(255)),
    Column("import_req", Text),
    Column("stores", Text),
    Column("expires_at", String(32)),
    # Who works on the task, and until when without another heartbeat, on the database's clock. An import on the command
    # line has neither: there, the claim on the staged bytes counts.
    Column("worker", String(255)),
    Column("lease_until", String(32)),
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    # Under which key this attempt stages its bytes, and from which bytes or URL another attempt can begin.
    Column("staged_key", String(36)),
    Column("source", Text),
    # False: bytes were staged, and their import has not been requested yet.
    Column("requested", Boolean, nullable=False, server_default=true()),
    # What the verdict on staged bytes depends on: the plan, and the image's facts when the worker began.
    Column("plan_digest", String(255)),
    Column("declared", Text),
    Column("verdict", String(16)),
    # The step of a trace that requested the import.
    Column("trace", String(64)),
    # By store, the facts of the copies that differ from the image.
    Column("variants", Text),
    # Which stores a worker has to reach to run the task while it waits (`needs.py`).
    Column("needs", Text),
    CheckConstraint("on_failure IN ('requeue', 'remove')", name="known_on_failure"),
    CheckConstraint("step IN ('waiting', 'receiving', 'staged', 'publishing', 'done')", name="known_step"),
    CheckConstraint("(step = 'done') = (outcome IS NOT NULL)", name="done_has_an_outcome"),
    CheckConstraint("(worker IS NULL) = (lease_until IS NULL)", name="worker_has_a_lease"),
    CheckConstraint("step NOT IN ('waiting', 'staged', 'done') OR worker IS NULL", name="waiting_has_no_worker"),
)
UNFINISHED = tasks.c.outcome.is_(None)
WAITING = tasks.c.step == literal_column("'waiting'")
"""Not a parameter of the statement: SQLite reads a partial index only where the query has its very condition."""

Index("tasks_by_image", tasks.c.image_id, tasks.c.created_at)
Index("tasks_by_creation", tasks.c.created_at, tasks.c.id)
Index("tasks_by_expiry", tasks.c.expires_at)
ENDED = tasks.c.outcome.is_not(None)
Index("tasks_by_end", tasks.c.updated_at, tasks.c.id, sqlite_where=ENDED)
Index("tasks_unfinished", tasks.c.created_at, tasks.c.id, sqlite_where=UNFINISHED)
Index("tasks_waiting", tasks.c.step, tasks.c.created_at, sqlite_where=WAITING)

# What imports that were let in said of their images, when their tasks have expired (`kept_reports.py`).
reports = Table(
    "reports",
    metadata,
    Column("image_id", String(36), ForeignKey("images.id"), primary_key=True),
    Column("task_id", String(36), primary_key=True),
    Column("report", Text, nullable=False),
    Column("declared", Text),
    # Of a copying, the variants that it made, by store.
    Column("variants", Text),
    Column("created_at", String(32), nullable=False),
    Column("token", BigInteger, nullable=False),
    # When to look again whether the image is deleted.
    Column("check_at", String(32), nullable=False),
)
Index("reports_by_check", reports.c.check_at, reports.c.image_id)

# The processes that run imports; `seen_at`, of the last heartbeat, is on the database's clock.
workers = Table(
    "workers",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("version", String(64), nullable=False),
    # The ids of the stores that it reaches.
    Column("stores", Text),
    Column("state", String(16), nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("seen_at", String(32), nullable=False),
    CheckConstraint("state IN ('active', 'cordoned', 'drained', 'gone')", name="known_worker_state"),
)
# Machines, and single workers, that take no new import; also those that are just being started again.
cordons = Table(
    "cordons",
    metadata,
    Column("place", String(255), primary_key=True),
    Column("created_at", String(32), nullable=False),
)
store_identities = Table(
    "store_identities",
    metadata,
    Column("store", String(255), primary_key=True),
    Column("identity", String(255), nullable=False),
    Column("created_at", String(32), nullable=False),
)
# Recurring work, with the lease of the worker that does it now.
chores = Table(
    "chores",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("worker", String(255)),
    Column("lease_until", String(32), nullable=False),
    Column("due_at", String(32), nullable=False),
)
# Facts about the catalog itself: which releases may use it, and until when no lease counts as ended.
marks = Table(
    "marks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
)
