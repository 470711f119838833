"""Copies that a transform made for one store."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.add_column("tasks", sa.Column("variants", sa.Text))
    op.add_column("stores", sa.Column("facts", sa.Text))
    op.add_column("stores", sa.Column("size", sa.BigInteger))


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    for table, column in (("stores", "size"), ("stores", "facts"), ("tasks", "variants")):
        op.drop_column(table, column)
