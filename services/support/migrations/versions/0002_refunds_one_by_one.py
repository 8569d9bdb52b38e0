"""Refunds are kept one by one; what a return is still owed, and why, is kept with it.

What was counted before becomes one entry an order and one a return, so that no sum changes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATES = "'none', 'pending', 'refunded', 'failed'"


def upgrade() -> None:
    op.execute("ALTER TABLE purchase ADD COLUMN refunds jsonb NOT NULL DEFAULT '{}'")
    op.execute("""
        UPDATE purchase p SET refunds = old.refunds FROM (
            SELECT order_id, jsonb_object_agg(id, jsonb_build_object(
                'amount', amount, 'outcome', 'paid', 'return_id', return_id, 'surplus', false)) AS refunds
            FROM (
                SELECT order_id, 'before_0002' AS id, refunded_outside AS amount, '' AS return_id
                FROM purchase WHERE refunded_outside > 0
                UNION ALL
                SELECT order_id, 'before_0002_' || id, refunded_amount, id FROM return_case WHERE refunded_amount > 0
            ) counted GROUP BY order_id
        ) old WHERE p.order_id = old.order_id
    """)
    op.execute("ALTER TABLE purchase ALTER COLUMN refunds DROP DEFAULT")
    op.execute("ALTER TABLE purchase DROP COLUMN refunded_outside")
    op.execute("ALTER TABLE return_case ADD COLUMN under_way_amount bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE return_case ALTER COLUMN under_way_amount DROP DEFAULT")
    op.execute("ALTER TABLE return_case ADD COLUMN refund_because jsonb")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_refund")
    op.execute(f"ALTER TABLE return_case ADD CONSTRAINT ck_return_case_refund CHECK (refund IN ({_STATES}, 'short'))")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_amounts")
    op.execute("""
        ALTER TABLE return_case ADD CONSTRAINT ck_return_case_amounts
        CHECK (promised_amount >= 0 AND refunded_amount >= 0 AND under_way_amount >= 0)
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE purchase ADD COLUMN refunded_outside bigint NOT NULL DEFAULT 0")
    op.execute("""
        UPDATE purchase p SET refunded_outside = old.amount FROM (
            SELECT order_id, sum((refund.value ->> 'amount')::bigint) AS amount
            FROM purchase, jsonb_each(refunds) refund
            WHERE refund.value ->> 'return_id' = '' AND refund.value ->> 'outcome' <> 'failed'
                AND refund.value ->> 'surplus' = 'false'
            GROUP BY order_id
        ) old WHERE p.order_id = old.order_id
    """)
    op.execute("ALTER TABLE purchase ALTER COLUMN refunded_outside DROP DEFAULT")
    op.execute("ALTER TABLE purchase DROP COLUMN refunds")
    op.execute("UPDATE return_case SET refund = 'failed' WHERE refund = 'short'")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_refund")
    op.execute(f"ALTER TABLE return_case ADD CONSTRAINT ck_return_case_refund CHECK (refund IN ({_STATES}))")
    op.execute("ALTER TABLE return_case DROP CONSTRAINT ck_return_case_amounts")
    op.execute("ALTER TABLE return_case DROP COLUMN under_way_amount, DROP COLUMN refund_because")
    op.execute("""
        ALTER TABLE return_case ADD CONSTRAINT ck_return_case_amounts
        CHECK (promised_amount >= 0 AND refunded_amount >= 0)
    """)
