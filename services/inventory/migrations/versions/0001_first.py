"""Stock, reservations, the ledger and the channels."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE stock_item (
    sku text CONSTRAINT pk_stock_item PRIMARY KEY,
    store_id text NOT NULL DEFAULT '',
    version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX ix_stock_item_store ON stock_item (store_id, sku);

CREATE TABLE warehouse (
    code text CONSTRAINT pk_warehouse PRIMARY KEY,
    store_id text NOT NULL,
    kind text NOT NULL CONSTRAINT ck_warehouse_kind CHECK (kind IN ('home', 'overseas', 'bonded', 'marketplace')),
    country text NOT NULL CONSTRAINT ck_warehouse_country CHECK (country ~ '^[A-Z]{2}$'),
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE stock_level (
    sku text NOT NULL CONSTRAINT fk_stock_level_sku REFERENCES stock_item,
    warehouse text NOT NULL CONSTRAINT fk_stock_level_warehouse REFERENCES warehouse,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    CONSTRAINT pk_stock_level PRIMARY KEY (sku, warehouse),
    CONSTRAINT ck_stock_level_promises CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 70);

CREATE TABLE reservation (
    order_id text CONSTRAINT pk_reservation PRIMARY KEY,
    store_id text NOT NULL,
    rank text NOT NULL,
    taken_at timestamptz NOT NULL,
    status text NOT NULL CONSTRAINT ck_reservation_status CHECK (
        status IN ('held', 'committed', 'waiting', 'refused', 'expired', 'broken', 'released', 'consumed')
    ),
    demand jsonb NOT NULL,
    skus text[] NOT NULL,
    country text NOT NULL,
    refusable boolean NOT NULL,
    confirmed boolean NOT NULL,
    allocations jsonb NOT NULL,
    expires_at timestamptz,
    restocked jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX ix_reservation_waiting ON reservation USING gin (skus) WHERE status = 'waiting';
CREATE INDEX ix_reservation_holding ON reservation USING gin (skus) WHERE status IN ('held', 'committed');

CREATE TABLE movement (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_movement PRIMARY KEY,
    sku text NOT NULL,
    warehouse text NOT NULL,
    kind text NOT NULL CONSTRAINT ck_movement_kind CHECK (
        kind IN ('receipt', 'count', 'write_off', 'correction', 'reserved', 'released', 'expired', 'broken', 'consumed',
            'restocked')
    ),
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    cause text NOT NULL,
    store_id text NOT NULL,
    message_id text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ix_movement_sku ON movement (sku, id);

CREATE TABLE adjustment (
    id text CONSTRAINT pk_adjustment PRIMARY KEY,
    kind text NOT NULL,
    warehouse text NOT NULL,
    reason text NOT NULL,
    lines integer NOT NULL,
    store_id text NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL
);

CREATE TABLE channel (
    store_id text NOT NULL,
    name text NOT NULL,
    buffer bigint NOT NULL DEFAULT 0 CONSTRAINT ck_channel_buffer CHECK (buffer >= 0),
    country text NOT NULL DEFAULT '',
    CONSTRAINT pk_channel PRIMARY KEY (store_id, name)
);

CREATE TABLE channel_buffer (
    store_id text NOT NULL,
    channel text NOT NULL,
    sku text NOT NULL,
    buffer bigint NOT NULL CONSTRAINT ck_channel_buffer_buffer CHECK (buffer >= 0),
    CONSTRAINT pk_channel_buffer PRIMARY KEY (store_id, channel, sku),
    CONSTRAINT fk_channel_buffer_store_id FOREIGN KEY (store_id, channel) REFERENCES channel (store_id, name)
);
"""

# For the audit and for people: what every order holds, and where counters, ledger and holds do not agree (nowhere).
_VIEWS = """
CREATE VIEW held_stock AS
SELECT r.order_id, r.status, a.sku, a.warehouse, a.quantity
FROM reservation r CROSS JOIN LATERAL jsonb_to_recordset(r.allocations) AS a(sku text, warehouse text, quantity bigint)
WHERE r.status IN ('held', 'committed');

CREATE VIEW stock_discrepancy AS
SELECT sku, warehouse, coalesce(level.on_hand, 0) AS on_hand, coalesce(level.reserved, 0) AS reserved,
    coalesce(ledger.on_hand, 0) AS ledger_on_hand, coalesce(ledger.reserved, 0) AS ledger_reserved,
    coalesce(held.quantity, 0) AS held
FROM stock_level level
FULL JOIN (
    SELECT sku, warehouse, sum(on_hand) AS on_hand, sum(reserved) AS reserved FROM movement GROUP BY sku, warehouse
) ledger USING (sku, warehouse)
FULL JOIN (
    SELECT sku, warehouse, sum(quantity) AS quantity FROM held_stock GROUP BY sku, warehouse
) held USING (sku, warehouse)
WHERE (coalesce(level.on_hand, 0), coalesce(level.reserved, 0), coalesce(level.reserved, 0))
    IS DISTINCT FROM (coalesce(ledger.on_hand, 0), coalesce(ledger.reserved, 0), coalesce(held.quantity, 0));
"""


def upgrade() -> None:
    for statement in (_TABLES + _VIEWS).split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON movement, adjustment FROM inventory_app")
