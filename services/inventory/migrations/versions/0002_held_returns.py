"""Returned goods whose warehouse is not set up are held, not dead letters."""

from alembic import op

revision = "0002"
down_revision = "0001"

_UPGRADE = """
CREATE TABLE held_return (
    return_id text NOT NULL,
    sku text NOT NULL,
    warehouse text NOT NULL,
    order_id text NOT NULL,
    store_id text NOT NULL,
    quantity bigint NOT NULL CONSTRAINT ck_held_return_quantity CHECK (quantity > 0),
    held_at timestamptz NOT NULL,
    CONSTRAINT pk_held_return PRIMARY KEY (return_id, sku, warehouse)
);
CREATE INDEX ix_held_return_warehouse ON held_return (store_id, warehouse)
"""


def upgrade() -> None:
    for statement in _UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE held_return")
