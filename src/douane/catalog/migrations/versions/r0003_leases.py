"""Imports by workers: leases, staged bytes whose import is not requested yet, copies."""

import sqlalchemy as sa
from alembic import op

from douane.errors import CatalogError

revision = "0003"
down_revision = "0002"

KEPT = (
    "id", "image_id", "method", "plan", "on_failure", "step", "done", "total", "report", "outcome", "code", "message",
    "token", "size", "virtual_size", "digests", "disk_format", "container_format", "properties", "created_at",
    "updated_at", "owner", "user_id", "request_id", "import_req", "stores", "expires_at",
)  # fmt: skip
UNFINISHED = sa.text("outcome IS NULL")
NOT_DELETED = sa.text("status != 'deleted'")
TESTED = ("hidden", "protected", "min_ram", "status", "owner", "visibility")
SHARED: dict[str, list[str | sa.TextClause]] = {
    "updated_at": ["updated_at", "created_at", "id"],
    "name": [sa.text("coalesce(name, '')"), "created_at", "id"],
    "size": [sa.text("coalesce(size, -1)"), "created_at", "id"],
    "status": ["status", "created_at", "id"],
    "disk_format": [sa.text("coalesce(disk_format, '')"), "created_at", "id"],
    "container_format": [sa.text("coalesce(container_format, '')"), "created_at", "id"],
    "id": ["id"],
}


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    # SQLite cannot change a constraint of a table. No other table refers to this one, so it can be made anew
    # (sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes").
    op.create_table(
        "tasks_anew",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("on_failure", sa.String(16), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("report", sa.Text),
        sa.Column("outcome", sa.String(16)),
        sa.Column("code", sa.String(255)),
        sa.Column("message", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("virtual_size", sa.BigInteger),
        sa.Column("digests", sa.Text),
        sa.Column("disk_format", sa.String(64)),
        sa.Column("container_format", sa.String(64)),
        sa.Column("properties", sa.Text),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("request_id", sa.String(255)),
        sa.Column("import_req", sa.Text),
        sa.Column("stores", sa.Text),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("worker", sa.String(255)),
        sa.Column("lease_until", sa.String(32)),
        sa.Column("attempts", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("staged_key", sa.String(36)),
        sa.Column("source", sa.Text),
        sa.Column("requested", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("plan_digest", sa.String(255)),
        sa.Column("declared", sa.Text),
        sa.Column("verdict", sa.String(16)),
        sa.CheckConstraint("on_failure IN ('requeue', 'remove')", name="known_on_failure"),
        sa.CheckConstraint("step IN ('waiting', 'receiving', 'staged', 'publishing', 'done')", name="known_step"),
        sa.CheckConstraint("(step = 'done') = (outcome IS NOT NULL)", name="done_has_an_outcome"),
        sa.CheckConstraint("(worker IS NULL) = (lease_until IS NULL)", name="worker_has_a_lease"),
        sa.CheckConstraint("step NOT IN ('waiting', 'staged', 'done') OR worker IS NULL", name="waiting_has_no_worker"),
    )
    columns = ", ".join(KEPT)
    op.execute(f"INSERT INTO tasks_anew ({columns}) SELECT {columns} FROM tasks")  # noqa: S608 -- constants
    op.drop_table("tasks")
    op.rename_table("tasks_anew", "tasks")
    op.create_index("tasks_by_image", "tasks", ["image_id", "created_at"])
    op.create_index("tasks_by_creation", "tasks", ["created_at", "id"])
    op.create_index("tasks_by_expiry", "tasks", ["expires_at"])
    op.create_index(
        "tasks_unfinished", "tasks", ["created_at", "id"], sqlite_where=UNFINISHED, postgresql_where=UNFINISHED
    )
    _cover()
    if op.get_bind().dialect.name == "postgresql":
        _compare_bytes()


def _compare_bytes() -> None:
    """Sort text as SQLite does, whatever the language of the database: pages and times depend on it."""
    for table in ("images", "properties", "tags", "members", "stores", "tasks"):
        for column in sa.inspect(op.get_bind()).get_columns(table):
            if isinstance(column["type"], sa.String) and column["type"].collation is None:
                op.execute(f'ALTER TABLE {table} ALTER COLUMN {column["name"]} TYPE {column["type"]} COLLATE "C"')


def _cover() -> None:
    """Make the indexes anew that are read for many images, with what is asked of every image."""
    covering = {
        "images_by_owner_and_created_at": ["owner", "created_at", "id"],
        "images_by_visibility_and_created_at": ["visibility", "created_at", "id"],
        "images_by_status": ["status", "created_at", "id"],
        **{f"images_by_{name}": [name, "created_at", "id"] for name in ("min_ram", "protected", "hidden")},
    }
    for name, columns in covering.items():
        _remake(name, [*columns, *(column for column in TESTED if column != columns[0])])
    for key, columns_of_key in SHARED.items():
        listed = [column for column in ("hidden", "status", "owner") if column != key]
        _remake(f"images_by_visibility_and_{key}", ["visibility", *columns_of_key, *listed])
    for name in ("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "min_disk"):
        _remake(f"images_by_{name}", [name, "id"])


def _remake(name: str, columns: list[str | sa.TextClause]) -> None:
    op.drop_index(name, "images")
    op.create_index(name, "images", columns, sqlite_where=NOT_DELETED, postgresql_where=NOT_DELETED)


def downgrade() -> None:
    """Bring a catalog from this revision to the one before. Raises CatalogError while imports wait."""
    connection = op.get_bind()
    unknown = "SELECT count(*) FROM tasks WHERE step IN ('waiting', 'staged')"
    if connection.exec_driver_sql(unknown).scalar_one():
        raise CatalogError(
            "the catalog has imports that wait for a worker, which the older release does not know; end or delete them "
            "first"
        )
    _make_tasks_as_before(connection)
    for name in ("min_ram", "protected", "hidden", "checksum", "os_hash_algo", "os_hash_value", "virtual_size"):
        _remake(f"images_by_{name}", [name])
    _remake("images_by_min_disk", ["min_disk"])
    for key, columns in SHARED.items():
        _remake(f"images_by_visibility_and_{key}", ["visibility", *columns])
    for kind in ("owner", "visibility"):
        _remake(f"images_by_{kind}_and_created_at", [kind, "created_at", "id"])
    _remake("images_by_status", ["status", "created_at", "id"])


def _make_tasks_as_before(connection: sa.Connection) -> None:
    columns = [column for column in sa.inspect(connection).get_columns("tasks") if column["name"] in KEPT]
    op.create_table(
        "tasks_anew",
        *(
            sa.Column(
                column["name"],
                column["type"],
                *([sa.ForeignKey("images.id")] if column["name"] == "image_id" else []),
                primary_key=column["name"] == "id",
                nullable=column["nullable"],
            )
            for column in columns
        ),
        sa.CheckConstraint("on_failure IN ('requeue', 'remove')", name="known_on_failure"),
        sa.CheckConstraint("step IN ('receiving', 'publishing', 'done')", name="known_step"),
        sa.CheckConstraint("(step = 'done') = (outcome IS NOT NULL)", name="done_has_an_outcome"),
    )
    names = ", ".join(KEPT)
    op.execute(f"INSERT INTO tasks_anew ({names}) SELECT {names} FROM tasks")  # noqa: S608 -- constants
    op.drop_table("tasks")
    op.rename_table("tasks_anew", "tasks")
    op.create_index("tasks_by_image", "tasks", ["image_id", "created_at"])
    op.create_index("tasks_by_outcome", "tasks", ["outcome"])
