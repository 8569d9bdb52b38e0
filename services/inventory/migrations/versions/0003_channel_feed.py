"""What connected channels shall show and are known to show, and how they answer."""

from alembic import op

revision = "0003"
down_revision = "0002"

_UPGRADE = """
CREATE TABLE channel_offer (
    store_id text NOT NULL,
    channel text NOT NULL,
    sku text NOT NULL,
    wanted bigint NOT NULL,
    quantity bigint NOT NULL,
    version bigint NOT NULL,
    urgency integer NOT NULL,
    waiting_since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    claim bigint NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    sent_quantity bigint,
    sent_version bigint NOT NULL DEFAULT 0,
    acked_quantity bigint,
    acked_version bigint NOT NULL DEFAULT 0,
    acked_at timestamptz,
    refusals integer NOT NULL DEFAULT 0,
    refused_code text NOT NULL DEFAULT '',
    refused_detail text NOT NULL DEFAULT '',
    CONSTRAINT ck_channel_offer_quantity CHECK (wanted >= 0 AND quantity >= 0),
    CONSTRAINT ck_channel_offer_version CHECK (acked_version <= version),
    CONSTRAINT pk_channel_offer PRIMARY KEY (store_id, channel, sku)
) WITH (fillfactor = 70);
CREATE INDEX ix_channel_offer_pending ON channel_offer (store_id, channel, urgency, waiting_since)
    WHERE acked_version < version;
CREATE INDEX ix_channel_offer_fenced ON channel_offer (store_id, channel) WHERE quantity <> wanted;
CREATE TABLE channel_health (
    store_id text NOT NULL,
    channel text NOT NULL,
    connected boolean NOT NULL DEFAULT true,
    state text NOT NULL DEFAULT 'open' CONSTRAINT ck_channel_health_state CHECK (state IN ('open', 'late', 'fenced')),
    since timestamptz NOT NULL DEFAULT now(),
    delay_s double precision NOT NULL DEFAULT 0,
    lag_s double precision NOT NULL,
    silent_since timestamptz,
    answered_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    busy_until timestamptz NOT NULL DEFAULT now(),
    tokens double precision NOT NULL DEFAULT 1,
    refilled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_channel_health PRIMARY KEY (store_id, channel)
) WITH (fillfactor = 50);
CREATE TABLE channel_feed (
    store_id text NOT NULL,
    channel text NOT NULL,
    feed text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    ask_at timestamptz NOT NULL,
    gives_up_at timestamptz NOT NULL,
    CONSTRAINT pk_channel_feed PRIMARY KEY (store_id, channel, feed)
)
"""


def upgrade() -> None:
    for statement in _UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE channel_feed, channel_health, channel_offer")
