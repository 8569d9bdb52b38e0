"""Returned goods that inventory can put on no shelf yet are shown with the reason, and may be said to be elsewhere."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE return_case ADD COLUMN restock_because jsonb, ADD COLUMN relocated_to text")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_restock")
    op.execute("""
        ALTER TABLE return_case ADD CONSTRAINT ck_return_case_restock
        CHECK (restock IN ('none', 'pending', 'restocked', 'held'))
    """)


def downgrade() -> None:
    op.execute("UPDATE return_case SET restock = 'pending' WHERE restock = 'held'")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_restock")
    op.execute("""
        ALTER TABLE return_case ADD CONSTRAINT ck_return_case_restock
        CHECK (restock IN ('none', 'pending', 'restocked'))
    """)
    op.execute("ALTER TABLE return_case DROP COLUMN restock_because, DROP COLUMN relocated_to")
