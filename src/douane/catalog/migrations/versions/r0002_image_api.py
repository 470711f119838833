"""What the Image API shows: visibility, protection, tags, members, stores, and who requested an import."""

import json

import sqlalchemy as sa
from alembic import op

from douane.errors import CatalogError

revision = "0002"
down_revision = "0001"

DIGESTS = sa.table(
    "images",
    sa.column("id", sa.String),
    sa.column("status", sa.String),
    sa.column("digests", sa.Text),
    sa.column("checksum", sa.String),
    sa.column("os_hash_algo", sa.String),
    sa.column("os_hash_value", sa.String),
)
NOT_DELETED = sa.text("status != 'deleted'")
SORT_KEYS: dict[str, list[str | sa.TextClause]] = {
    "created_at": ["created_at", "id"],
    "updated_at": ["updated_at", "created_at", "id"],
    "name": [sa.text("coalesce(name, '')"), "created_at", "id"],
    "size": [sa.text("coalesce(size, -1)"), "created_at", "id"],
    "status": ["status", "created_at", "id"],
    "disk_format": [sa.text("coalesce(disk_format, '')"), "created_at", "id"],
    "container_format": [sa.text("coalesce(container_format, '')"), "created_at", "id"],
    "id": ["id"],
}
FILTERS = ("checksum", "os_hash_algo", "os_hash_value", "virtual_size", "min_disk", "min_ram", "protected", "hidden")
STORES = sa.table("stores", sa.column("image_id", sa.String), sa.column("store", sa.String))


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    # Columns are added in place: SQLite can rebuild a table that others refer to only without its foreign keys, and
    # those cannot be switched off inside a transaction (sqlite.org/lang_altertable.html, "Making Other Kinds Of ...").
    op.execute(
        "ALTER TABLE images ADD COLUMN visibility VARCHAR(16) DEFAULT 'private' NOT NULL "
        "CONSTRAINT known_visibility CHECK (visibility IN ('public', 'community', 'shared', 'private'))"
    )
    for name in ("protected", "hidden"):
        op.add_column("images", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    for name in ("min_disk", "min_ram"):
        op.add_column("images", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    for name in ("checksum", "os_hash_algo", "os_hash_value"):
        op.add_column("images", sa.Column(name, sa.String(255)))
    for name in ("owner", "user_id", "request_id"):
        op.add_column("tasks", sa.Column(name, sa.String(255)))
    for name in ("import_req", "stores"):
        op.add_column("tasks", sa.Column(name, sa.Text))
    op.add_column("tasks", sa.Column("expires_at", sa.String(32)))
    op.create_table(
        "tags",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("tag", sa.String(255), primary_key=True),
    )
    op.create_index("tags_by_tag", "tags", ["tag", "image_id"])
    op.create_table(
        "members",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("project", sa.String(255), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.CheckConstraint("status IN ('pending', 'accepted', 'rejected')", name="known_member_status"),
    )
    op.create_index("members_by_project", "members", ["project", "status", "image_id"])
    op.create_table(
        "stores",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("store", sa.String(255), primary_key=True),
    )
    op.create_index("stores_by_store", "stores", ["store", "image_id"])
    _fill(op.get_bind())
    op.create_index("properties_by_value", "properties", ["name", sa.text("substr(value, 1, 255)"), "image_id"])
    op.drop_index("images_by_status", "images")
    for key, columns in SORT_KEYS.items():
        if key != "id":
            _partial(f"images_by_{key}", columns)
        _partial(f"images_by_owner_and_{key}", ["owner", *columns])
        _partial(f"images_by_visibility_and_{key}", ["visibility", *columns])
    for name in FILTERS:
        _partial(f"images_by_{name}", [name])


def _partial(name: str, columns: list[str | sa.TextClause]) -> None:
    op.create_index(name, "images", columns, sqlite_where=NOT_DELETED, postgresql_where=NOT_DELETED)


def _fill(connection: sa.Connection) -> None:
    """The digests by which images are found, and the only store that the revision before knew."""
    for row in connection.execute(sa.select(DIGESTS).where(DIGESTS.c.digests.is_not(None))).all():
        digests = json.loads(row.digests)
        strongest = max(sorted(digests), key=lambda name: len(digests[name]), default=None)
        columns = {
            "checksum": digests.get("md5"),
            "os_hash_algo": strongest,
            "os_hash_value": digests.get(strongest),
        }
        connection.execute(sa.update(DIGESTS).where(DIGESTS.c.id == row.id).values(columns))
    with_bytes = sa.select(DIGESTS.c.id, sa.literal("file")).where(DIGESTS.c.status.in_(("active", "deactivated")))
    connection.execute(sa.update(sa.table("tasks", sa.column("stores", sa.Text))).values(stores='["file"]'))
    connection.execute(sa.insert(STORES).from_select(["image_id", "store"], with_bytes))


def downgrade() -> None:
    """Bring a catalog from this revision to the one before. Raises CatalogError if it cannot say where bytes are."""
    elsewhere = sa.select(sa.func.count()).select_from(STORES).where(STORES.c.store != "file")
    if op.get_bind().execute(elsewhere).scalar_one():
        raise CatalogError("the catalog has images in several stores, which the older release does not know")
    op.drop_index("properties_by_value", "properties")
    for key in SORT_KEYS:
        if key != "id":
            op.drop_index(f"images_by_{key}", "images")
        for kind in ("owner", "visibility"):
            op.drop_index(f"images_by_{kind}_and_{key}", "images")
    for name in FILTERS:
        op.drop_index(f"images_by_{name}", "images")
    op.create_index("images_by_status", "images", ["status", "created_at"])
    for table in ("stores", "members", "tags"):
        op.drop_table(table)
    for name in ("owner", "user_id", "request_id", "import_req", "stores", "expires_at"):
        op.drop_column("tasks", name)
    for name in ("visibility", "protected", "hidden", "min_disk", "min_ram", *FILTERS[:3]):
        op.drop_column("images", name)
