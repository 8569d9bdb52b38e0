"""Policies of channels and of SKUs on them, and the objective that a channel's lag is measured against."""

from alembic import op

revision = "0007"
down_revision = "0006"

_UPGRADE = """
ALTER TABLE channel ALTER COLUMN buffer DROP NOT NULL, ADD COLUMN cap bigint, ADD COLUMN allotment bigint NOT NULL DEFAULT 0,
    ADD COLUMN closed boolean NOT NULL DEFAULT false, ADD COLUMN units_per_s double precision NOT NULL DEFAULT 0,
    ADD CONSTRAINT ck_channel_policy CHECK (cap >= 0 AND allotment >= 0 AND units_per_s >= 0);
ALTER TABLE channel_buffer RENAME TO channel_policy;
ALTER TABLE channel_policy RENAME CONSTRAINT pk_channel_buffer TO pk_channel_policy;
ALTER TABLE channel_policy RENAME CONSTRAINT fk_channel_buffer_store_id TO fk_channel_policy_store_id;
ALTER TABLE channel_policy DROP CONSTRAINT ck_channel_buffer_buffer, ALTER COLUMN buffer DROP NOT NULL, ADD COLUMN cap bigint,
    ADD COLUMN allotment bigint NOT NULL DEFAULT 0, ADD COLUMN closed boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT ck_channel_policy_policy CHECK (buffer >= 0 AND cap >= 0 AND allotment >= 0);
ALTER TABLE channel_health ADD COLUMN objective_s double precision;
UPDATE channel_health SET objective_s = lag_s;
ALTER TABLE channel_health ALTER COLUMN objective_s SET NOT NULL
"""
# The older code knows a buffer in units only: what it cannot say is offered nothing of, rather than too much.
_DOWNGRADE = """
ALTER TABLE channel_health DROP COLUMN objective_s;
UPDATE channel_policy SET buffer = 1000000000 WHERE buffer IS NULL OR closed OR cap IS NOT NULL;
ALTER TABLE channel_policy DROP CONSTRAINT ck_channel_policy_policy, DROP COLUMN cap, DROP COLUMN allotment, DROP COLUMN closed,
    ALTER COLUMN buffer SET NOT NULL, ADD CONSTRAINT ck_channel_buffer_buffer CHECK (buffer >= 0);
ALTER TABLE channel_policy RENAME CONSTRAINT fk_channel_policy_store_id TO fk_channel_buffer_store_id;
ALTER TABLE channel_policy RENAME CONSTRAINT pk_channel_policy TO pk_channel_buffer;
ALTER TABLE channel_policy RENAME TO channel_buffer;
UPDATE channel SET buffer = 1000000000 WHERE buffer IS NULL OR closed OR cap IS NOT NULL;
ALTER TABLE channel DROP CONSTRAINT ck_channel_policy, DROP COLUMN cap, DROP COLUMN allotment, DROP COLUMN closed,
    DROP COLUMN units_per_s, ALTER COLUMN buffer SET NOT NULL
"""


def upgrade() -> None:
    for statement in _UPGRADE.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWNGRADE.split(";\n"):
        op.execute(statement)
