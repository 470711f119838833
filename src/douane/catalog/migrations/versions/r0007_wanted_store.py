"""The store that an image was made for."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Bring a catalog from the revision before to this one."""
    op.add_column("images", sa.Column("wanted_store", sa.String(255)))


def downgrade() -> None:
    """Bring a catalog from this revision to the one before."""
    op.drop_column("images", "wanted_store")
