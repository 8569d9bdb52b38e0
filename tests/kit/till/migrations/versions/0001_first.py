"""The till's one table."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE till (name text PRIMARY KEY, units integer NOT NULL CHECK (units >= 0))")
