"""A product is its store's: another store gets no quote for it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE product ADD COLUMN store_id text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE product ALTER COLUMN store_id DROP DEFAULT")


def downgrade() -> None:
    op.execute("ALTER TABLE product DROP COLUMN store_id")
