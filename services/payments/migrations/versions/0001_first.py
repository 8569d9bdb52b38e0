"""Payments, their attempts and refunds, and the ledger."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEDGER = ("ledger_transaction", "ledger_entry")


def upgrade() -> None:
    op.execute("""
        CREATE TABLE payment (
            order_id text NOT NULL,
            payment_id text NOT NULL,
            store_id text NOT NULL,
            market text NOT NULL,
            channel text NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            mode text NOT NULL,
            method text NOT NULL,
            token text NOT NULL,
            claimed_fingerprint text NOT NULL,
            requested_at timestamptz NOT NULL,
            state text NOT NULL,
            capture_due boolean NOT NULL,
            action_url text NOT NULL,
            action_expires_at timestamptz,
            told text NOT NULL,
            attention text NOT NULL,
            CONSTRAINT pk_payment PRIMARY KEY (order_id),
            CONSTRAINT ck_payment_amount CHECK (amount >= 0)
        )
    """)
    op.execute("CREATE INDEX ix_payment_list ON payment (store_id, requested_at, order_id)")
    op.execute("CREATE INDEX ix_payment_attention ON payment (store_id, requested_at) WHERE attention <> ''")
    op.execute("""
        CREATE TABLE payment_attempt (
            id text NOT NULL,
            order_id text NOT NULL,
            number integer NOT NULL,
            automatic boolean NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            asked_at timestamptz NOT NULL,
            status text NOT NULL,
            superseded boolean NOT NULL,
            charge_id text NOT NULL,
            fingerprint text NOT NULL,
            decline_code text NOT NULL,
            renewable boolean NOT NULL,
            authorised_at timestamptz,
            expires_at timestamptz,
            captured bigint,
            captured_currency text,
            given_back bigint NOT NULL,
            calls integer NOT NULL,
            silences integer NOT NULL,
            CONSTRAINT pk_payment_attempt PRIMARY KEY (id),
            CONSTRAINT fk_payment_attempt_order_id FOREIGN KEY (order_id) REFERENCES payment (order_id),
            CONSTRAINT ck_payment_attempt_given_back CHECK (given_back BETWEEN 0 AND coalesce(captured, amount))
        )
    """)
    op.execute("CREATE UNIQUE INDEX ix_payment_attempt_order_id ON payment_attempt (order_id, number)")
    op.execute("""
        CREATE TABLE refund (
            id text NOT NULL,
            order_id text NOT NULL,
            key text NOT NULL,
            attempt text NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            reason text NOT NULL,
            return_id text NOT NULL,
            requested_at timestamptz NOT NULL,
            state text NOT NULL,
            failure_code text NOT NULL,
            settled_at timestamptz,
            booked boolean NOT NULL,
            calls integer NOT NULL,
            silences integer NOT NULL,
            CONSTRAINT pk_refund PRIMARY KEY (id),
            CONSTRAINT fk_refund_order_id FOREIGN KEY (order_id) REFERENCES payment (order_id),
            CONSTRAINT ck_refund_amount CHECK (amount > 0)
        )
    """)
    op.execute("CREATE INDEX ix_refund_order_id ON refund (order_id)")
    op.execute("""
        CREATE TABLE early_webhook (
            order_id text NOT NULL,
            webhook_id text NOT NULL,
            attempt_key text NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT pk_early_webhook PRIMARY KEY (order_id, webhook_id)
        )
    """)
    op.execute("""
        CREATE TABLE ledger_transaction (
            id text NOT NULL,
            kind text NOT NULL,
            subject text NOT NULL,
            order_id text NOT NULL,
            store_id text NOT NULL,
            at timestamptz NOT NULL,
            CONSTRAINT pk_ledger_transaction PRIMARY KEY (id)
        )
    """)
    op.execute("CREATE INDEX ix_ledger_transaction_order_id ON ledger_transaction (order_id)")
    op.execute("""
        CREATE TABLE ledger_entry (
            transaction_id text NOT NULL,
            line integer NOT NULL,
            account text NOT NULL,
            amount bigint NOT NULL,
            currency text NOT NULL,
            store_id text NOT NULL,
            CONSTRAINT pk_ledger_entry PRIMARY KEY (transaction_id, line),
            CONSTRAINT fk_ledger_entry_transaction_id FOREIGN KEY (transaction_id) REFERENCES ledger_transaction (id)
        )
    """)
    op.execute("CREATE INDEX ix_ledger_entry_balance ON ledger_entry (store_id, currency, account) INCLUDE (amount)")
    op.execute("""
        CREATE FUNCTION ledger_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT FROM ledger_entry WHERE transaction_id = NEW.transaction_id GROUP BY currency HAVING sum(amount) <> 0
            ) THEN
                RAISE EXCEPTION 'the ledger transaction % does not add up to zero', NEW.transaction_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    # Deferred, because the entries of a transaction come one by one; for every row, because one may be added later.
    op.execute("""
        CREATE CONSTRAINT TRIGGER ledger_balances AFTER INSERT ON ledger_entry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_must_balance()
    """)
    for table in LEDGER:
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM payments_app")


def downgrade() -> None:
    for table in (*reversed(LEDGER), "early_webhook", "refund", "payment_attempt", "payment"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION ledger_must_balance()")
