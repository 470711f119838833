"""An index of the tasks that ended, by the time of their end: metrics follow it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ENDED = sa.text("outcome IS NOT NULL")


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.create_index("tasks_by_end", "tasks", ["updated_at", "id"], sqlite_where=ENDED, postgresql_where=ENDED)


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    op.drop_index("tasks_by_end", "tasks")
