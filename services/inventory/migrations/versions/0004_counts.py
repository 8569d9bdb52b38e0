"""Absolute counts of warehouse systems, and in the ledger when a movement happened."""

from alembic import op

revision = "0004"
down_revision = "0003"

_UPGRADE = """
ALTER TABLE movement ADD COLUMN occurred_at timestamptz;
UPDATE movement SET occurred_at = at;
ALTER TABLE movement ALTER COLUMN occurred_at SET NOT NULL;
ALTER TABLE movement DROP CONSTRAINT ck_movement_kind;
ALTER TABLE movement ADD CONSTRAINT ck_movement_kind CHECK (kind IN ('receipt', 'count', 'snapshot', 'write_off', 'correction',
    'reserved', 'released', 'expired', 'broken', 'consumed', 'restocked'));
CREATE INDEX ix_movement_goods ON movement (sku, warehouse, occurred_at)
    WHERE kind IN ('receipt', 'count', 'write_off', 'consumed', 'restocked');
CREATE TABLE stock_count (
    sku text NOT NULL,
    warehouse text NOT NULL,
    source text NOT NULL,
    version bigint NOT NULL,
    as_of timestamptz NOT NULL,
    quantity bigint NOT NULL CONSTRAINT ck_stock_count_quantity CHECK (quantity >= 0),
    on_hand bigint NOT NULL,
    change bigint NOT NULL,
    store_id text NOT NULL,
    actor text NOT NULL,
    counted_at timestamptz NOT NULL,
    CONSTRAINT pk_stock_count PRIMARY KEY (sku, warehouse, source),
    CONSTRAINT fk_stock_count_sku FOREIGN KEY (sku) REFERENCES stock_item (sku),
    CONSTRAINT fk_stock_count_warehouse FOREIGN KEY (warehouse) REFERENCES warehouse (code)
) WITH (fillfactor = 70)
"""
_DOWNGRADE = """
DROP TABLE stock_count;
DROP INDEX ix_movement_goods;
ALTER TABLE movement DROP COLUMN occurred_at
"""


def upgrade() -> None:
    for statement in _UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    # A snapshot in the ledger is a count: the older code knows no other word for it.
    op.execute("UPDATE movement SET kind = 'count' WHERE kind = 'snapshot'")
    for statement in _DOWNGRADE.split(";\n"):
        op.execute(statement)
    op.execute("ALTER TABLE movement DROP CONSTRAINT ck_movement_kind")
    op.execute(
        "ALTER TABLE movement ADD CONSTRAINT ck_movement_kind CHECK (kind IN ('receipt', 'count', 'write_off', 'correction',"
        " 'reserved', 'released', 'expired', 'broken', 'consumed', 'restocked'))"
    )
