"""What a return asked for is kept beside what was left of the charge for it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE refund ADD COLUMN asked bigint CONSTRAINT ck_refund_asked CHECK (asked > amount)")


def downgrade() -> None:
    op.execute("ALTER TABLE refund DROP COLUMN asked")
