"""Comparisons of both sides of a channel are asked for in a row; offers are kept in the order of code points, so that a page is compared by the key."""

from alembic import op

revision = "0006"
down_revision = "0005"

_UPGRADE = """
CREATE TABLE channel_resync (
    store_id text NOT NULL,
    channel text NOT NULL,
    dry_run boolean NOT NULL,
    asked bigint NOT NULL DEFAULT 1,
    covers bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    cause text NOT NULL CONSTRAINT ck_channel_resync_cause CHECK (cause IN ('asked', 'newer_version', 'fence')),
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    claim bigint NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    reading boolean NOT NULL DEFAULT false,
    cursor text,
    after_sku text NOT NULL DEFAULT '',
    passes integer NOT NULL DEFAULT 0,
    passed_at timestamptz,
    pages bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    different bigint NOT NULL DEFAULT 0,
    pass_different bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    moving bigint NOT NULL DEFAULT 0,
    first jsonb NOT NULL DEFAULT '[]',
    error text NOT NULL DEFAULT '',
    CONSTRAINT ck_channel_resync_asked CHECK (done <= covers AND covers <= asked),
    CONSTRAINT pk_channel_resync PRIMARY KEY (store_id, channel, dry_run)
) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute(_UPGRADE)
    op.execute('ALTER TABLE channel_offer ALTER COLUMN sku TYPE text COLLATE "C"')


def downgrade() -> None:
    op.execute('ALTER TABLE channel_offer ALTER COLUMN sku TYPE text COLLATE "default"')
    op.execute("DROP TABLE channel_resync")
