"""Channels: how far each was read, and what it sold that could not be taken in."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE channel_intake (
            store_id text NOT NULL,
            channel text NOT NULL,
            cursor text NOT NULL,
            anchor text NOT NULL,
            next_anchor text NOT NULL,
            anchored_at timestamptz NOT NULL,
            swept_at timestamptz NOT NULL,
            claim bigint NOT NULL,
            claimed_until timestamptz,
            next_at timestamptz NOT NULL,
            read_at timestamptz,
            failures integer NOT NULL,
            CONSTRAINT pk_channel_intake PRIMARY KEY (store_id, channel)
        )
    """)
    op.execute("""
        CREATE TABLE channel_refusal (
            store_id text NOT NULL,
            channel text NOT NULL,
            external_id text NOT NULL,
            code text NOT NULL,
            detail text NOT NULL,
            cursor text NOT NULL,
            since timestamptz NOT NULL,
            retry_at timestamptz NOT NULL,
            CONSTRAINT pk_channel_refusal PRIMARY KEY (store_id, channel, external_id)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE channel_intake, channel_refusal")
