"""Workers on many machines: who they are, what a task needs, whose a store is, and recurring work."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

LONG_AGO = "1970-01-01T00:00:00.000Z"
MARKS = sa.table("marks", sa.column("name", sa.String), sa.column("value", sa.String))


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.add_column("tasks", sa.Column("needs", sa.Text))
    op.create_table(
        "workers",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("stores", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("seen_at", sa.String(32), nullable=False),
        sa.CheckConstraint("state IN ('active', 'cordoned', 'drained', 'gone')", name="known_worker_state"),
    )
    op.create_table(
        "cordons",
        sa.Column("place", sa.String(255), primary_key=True),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "store_identities",
        sa.Column("store", sa.String(255), primary_key=True),
        sa.Column("identity", sa.String(255), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "chores",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("worker", sa.String(255)),
        sa.Column("lease_until", sa.String(32), nullable=False),
        sa.Column("due_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(255), nullable=False),
    )
    # A release of revision 0007 does not know the mark: it says that the catalog is newer.
    op.bulk_insert(MARKS, [{"name": "oldest_revision", "value": "0008"}, {"name": "grace_until", "value": LONG_AGO}])


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    for table in ("marks", "chores", "store_identities", "cordons", "workers"):
        op.drop_table(table)
    op.drop_column("tasks", "needs")
