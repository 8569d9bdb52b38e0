"""What channels ship from their own warehouses is counted, and what they keep of a sale is known."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE orders ADD COLUMN channel_fee bigint")
    op.execute("""
        CREATE TABLE channel_fulfilled (
            store_id text NOT NULL,
            channel text NOT NULL,
            external_id text NOT NULL,
            state text NOT NULL,
            placed_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            counted_at timestamptz NOT NULL,
            currency text NOT NULL,
            goods bigint NOT NULL,
            shipping bigint NOT NULL,
            taxes bigint NOT NULL,
            fee bigint NOT NULL,
            lines jsonb NOT NULL,
            CONSTRAINT pk_channel_fulfilled PRIMARY KEY (store_id, channel, external_id),
            CONSTRAINT ck_channel_fulfilled_state CHECK (state IN ('open', 'shipped', 'cancelled'))
        )
    """)
    op.execute(
        "CREATE INDEX ix_channel_fulfilled_list ON channel_fulfilled (store_id, channel, placed_at DESC, external_id DESC)"
    )


def downgrade() -> None:
    op.execute("DROP TABLE channel_fulfilled")
    op.execute("ALTER TABLE orders DROP COLUMN channel_fee")
