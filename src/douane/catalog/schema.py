"""The tables as they are now, for SQLAlchemy Core; their history is in ``migrations/versions``.

Times are RFC 3339 text and JSON is text: both mean the same in SQLite and PostgreSQL.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, MetaData, String, Table, Text

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
    CheckConstraint(
        "status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')",
        name="known_status",
    ),
    CheckConstraint("status <> 'importing' OR task_id IS NOT NULL", name="importing_has_a_task"),
    CheckConstraint("status NOT IN ('active', 'deactivated') OR size IS NOT NULL", name="active_has_a_size"),
)
Index("images_by_status", images.c.status, images.c.created_at)

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
    CheckConstraint("on_failure IN ('requeue', 'remove')", name="known_on_failure"),
    CheckConstraint("step IN ('receiving', 'publishing', 'done')", name="known_step"),
    CheckConstraint("(step = 'done') = (outcome IS NOT NULL)", name="done_has_an_outcome"),
)
Index("tasks_by_image", tasks.c.image_id, tasks.c.created_at)
Index("tasks_by_outcome", tasks.c.outcome)
