"""Images, their properties, and import tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of an empty catalog."""
    op.create_table(
        "images",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(255)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("disk_format", sa.String(64)),
        sa.Column("container_format", sa.String(64)),
        sa.Column("size", sa.BigInteger),
        sa.Column("virtual_size", sa.BigInteger),
        sa.Column("digests", sa.Text),
        sa.Column("code", sa.String(255)),
        sa.Column("message", sa.Text),
        sa.Column("failed_stores", sa.Text),
        sa.Column("task_id", sa.String(36)),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.CheckConstraint(
            "status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')",
            name="known_status",
        ),
        sa.CheckConstraint("status <> 'importing' OR task_id IS NOT NULL", name="importing_has_a_task"),
        sa.CheckConstraint("status NOT IN ('active', 'deactivated') OR size IS NOT NULL", name="active_has_a_size"),
    )
    op.create_index("images_by_status", "images", ["status", "created_at"])
    op.create_table(
        "properties",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("source", sa.String(255), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "tasks",
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
        sa.CheckConstraint("on_failure IN ('requeue', 'remove')", name="known_on_failure"),
        sa.CheckConstraint("step IN ('receiving', 'publishing', 'done')", name="known_step"),
        sa.CheckConstraint("(step = 'done') = (outcome IS NOT NULL)", name="done_has_an_outcome"),
    )
    op.create_index("tasks_by_image", "tasks", ["image_id", "created_at"])
    op.create_index("tasks_by_outcome", "tasks", ["outcome"])


def downgrade() -> None:
    """Bring a catalog from this revision to none: nothing is kept."""
    for table in ("tasks", "properties", "images"):
        op.drop_table(table)
