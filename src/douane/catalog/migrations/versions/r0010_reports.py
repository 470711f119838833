"""Reports that live as long as their images: those of accepted imports whose tasks have expired.

A release of revision 0008 or 0009 goes on beside this one. It knows of no reports, so the tasks that it removes leave
none, and images that it deletes keep theirs until they are looked at again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.create_table(
        "reports",
        sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("declared", sa.Text),
        sa.Column("variants", sa.Text),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("check_at", sa.String(32), nullable=False),
    )
    op.create_index("reports_by_check", "reports", ["check_at", "image_id"])


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    op.drop_table("reports")
