"""Transfers between warehouses, and in the ledger what is in transit and why something differs."""

from alembic import op

revision = "0005"
down_revision = "0004"

_GOODS = "'receipt', 'count', 'write_off', 'consumed', 'restocked'"
_OLD = "'receipt', 'count', 'snapshot', 'write_off', 'correction', 'reserved', 'released', 'expired', 'broken', 'consumed', 'restocked'"
_UPGRADE = f"""
ALTER TABLE movement ADD COLUMN in_transit bigint NOT NULL DEFAULT 0, ADD COLUMN reason text NOT NULL DEFAULT '';
ALTER TABLE movement DROP CONSTRAINT ck_movement_kind;
ALTER TABLE movement ADD CONSTRAINT ck_movement_kind CHECK (kind IN ({_OLD},
    'transfer_out', 'transfer_in', 'transfer_damaged', 'transfer_short', 'transfer_over'));
DROP INDEX ix_movement_goods;
CREATE INDEX ix_movement_goods ON movement (sku, warehouse, occurred_at)
    WHERE kind IN ({_GOODS}, 'transfer_out', 'transfer_in', 'transfer_over');
CREATE TABLE transfer (
    id text NOT NULL,
    store_id text NOT NULL,
    source text NOT NULL,
    destination text NOT NULL,
    status text NOT NULL CONSTRAINT ck_transfer_status CHECK (status IN ('in_transit', 'received')),
    reason text NOT NULL,
    shipped_at timestamptz NOT NULL,
    received_at timestamptz,
    actor text NOT NULL,
    CONSTRAINT pk_transfer PRIMARY KEY (id),
    CONSTRAINT fk_transfer_source FOREIGN KEY (source) REFERENCES warehouse (code),
    CONSTRAINT fk_transfer_destination FOREIGN KEY (destination) REFERENCES warehouse (code)
);
CREATE INDEX ix_transfer_store ON transfer (store_id, id);
CREATE TABLE transfer_line (
    transfer_id text NOT NULL,
    sku text NOT NULL,
    shipped bigint NOT NULL,
    arrived bigint NOT NULL,
    damaged bigint NOT NULL,
    short bigint NOT NULL,
    over bigint NOT NULL,
    CONSTRAINT pk_transfer_line PRIMARY KEY (transfer_id, sku),
    CONSTRAINT fk_transfer_line_transfer_id FOREIGN KEY (transfer_id) REFERENCES transfer (id),
    CONSTRAINT fk_transfer_line_sku FOREIGN KEY (sku) REFERENCES stock_item (sku),
    CONSTRAINT ck_transfer_line_units CHECK (least(arrived, damaged, short, over) >= 0),
    CONSTRAINT ck_transfer_line_in_transit CHECK (arrived + damaged + short <= shipped)
);
CREATE INDEX ix_transfer_line_in_transit ON transfer_line (sku) WHERE arrived + damaged + short < shipped
"""
_DOWNGRADE = f"""
DROP TABLE transfer_line;
DROP TABLE transfer;
DROP INDEX ix_movement_goods;
CREATE INDEX ix_movement_goods ON movement (sku, warehouse, occurred_at) WHERE kind IN ({_GOODS});
ALTER TABLE movement DROP COLUMN in_transit, DROP COLUMN reason;
ALTER TABLE movement DROP CONSTRAINT ck_movement_kind
"""


def upgrade() -> None:
    for statement in _UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    # Goods that went and came by transfer are corrections: the older code knows no other word for them.
    for statement in _DOWNGRADE.split(";\n"):
        op.execute(statement)
    op.execute("UPDATE movement SET kind = 'correction' WHERE starts_with(kind, 'transfer_')")
    op.execute(f"ALTER TABLE movement ADD CONSTRAINT ck_movement_kind CHECK (kind IN ({_OLD}))")
