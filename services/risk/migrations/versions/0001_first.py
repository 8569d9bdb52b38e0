"""Order files, reviews, velocity and rule sets."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE order_file (
            order_id text NOT NULL,
            store_id text NOT NULL,
            version integer NOT NULL,
            stage text NOT NULL,
            market text NOT NULL,
            channel text NOT NULL,
            placed_second bigint NOT NULL,
            own_counts jsonb NOT NULL,
            signals jsonb NOT NULL,
            seen_card text NOT NULL,
            counted jsonb NOT NULL,
            waiting jsonb NOT NULL,
            assessment_id text,
            rule_set text,
            decision text,
            verdict text,
            score integer,
            findings jsonb,
            operands jsonb,
            as_of timestamptz,
            assessed_at timestamptz,
            CONSTRAINT pk_order_file PRIMARY KEY (order_id),
            CONSTRAINT ck_order_file_stage CHECK (stage IN ('expected', 'open', 'closed')),
            CONSTRAINT ck_order_file_decision CHECK (decision IN ('approve', 'review', 'reject')),
            CONSTRAINT ck_order_file_assessed CHECK ((assessment_id IS NULL) = (decision IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE review (
            review_id text NOT NULL,
            order_id text NOT NULL,
            store_id text NOT NULL,
            version integer NOT NULL,
            cause text NOT NULL,
            status text NOT NULL,
            rule_set text NOT NULL,
            score integer NOT NULL,
            reasons jsonb NOT NULL,
            opened_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            overdue boolean NOT NULL,
            decided_by text NOT NULL,
            decided_at timestamptz,
            note text NOT NULL,
            CONSTRAINT pk_review PRIMARY KEY (review_id),
            CONSTRAINT ck_review_status CHECK (status IN ('open', 'approved', 'rejected', 'closed')),
            CONSTRAINT ck_review_decided CHECK ((decided_at IS NOT NULL) = (status IN ('approved', 'rejected')))
        )
    """)
    op.execute("CREATE UNIQUE INDEX ix_review_order ON review (order_id, cause)")
    op.execute("CREATE INDEX ix_review_queue ON review (store_id, (status <> 'open'), due_at, review_id)")
    op.execute("CREATE INDEX ix_review_open ON review (overdue) WHERE status = 'open'")
    op.execute("""
        CREATE TABLE velocity_key (
            key text NOT NULL,
            version integer NOT NULL,
            newest bigint NOT NULL,
            folded boolean NOT NULL,
            entries bytea NOT NULL,
            sightings bytea NOT NULL,
            touched_at timestamptz NOT NULL,
            CONSTRAINT pk_velocity_key PRIMARY KEY (key)
        ) WITH (fillfactor = 80)
    """)
    op.execute("""
        CREATE TABLE velocity_node (
            key text NOT NULL,
            level smallint NOT NULL,
            place bigint NOT NULL,
            tally bytea NOT NULL,
            CONSTRAINT pk_velocity_node PRIMARY KEY (key, level, place),
            CONSTRAINT ck_velocity_node_level CHECK (level BETWEEN 0 AND 3)
        )
    """)
    op.execute("""
        CREATE TABLE rule_set (
            id text NOT NULL,
            document jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            CONSTRAINT pk_rule_set PRIMARY KEY (id)
        )
    """)
    op.execute("""
        CREATE TABLE rule_set_activation (
            number bigint GENERATED ALWAYS AS IDENTITY,
            store_id text NOT NULL,
            rule_set text NOT NULL,
            activated_by text NOT NULL,
            activated_at timestamptz NOT NULL,
            CONSTRAINT pk_rule_set_activation PRIMARY KEY (number)
        )
    """)
    op.execute("CREATE INDEX ix_rule_set_activation_store ON rule_set_activation (store_id, number)")
    # What decided, and who chose it, is never rewritten: assessments refer to it.
    op.execute("REVOKE UPDATE, DELETE ON rule_set, rule_set_activation FROM risk_app")


def downgrade() -> None:
    for table in ("rule_set_activation", "rule_set", "velocity_node", "velocity_key", "review", "order_file"):
        op.execute(f"DROP TABLE {table}")
