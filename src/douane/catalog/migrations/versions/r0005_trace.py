"""The trace that a task is part of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.add_column("tasks", sa.Column("trace", sa.String(64)))


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    op.drop_column("tasks", "trace")
