"""Dead letters that are reopened rather than written twice, and what operators did, for ever."""

from alembic import context, op

revision = "k0002"
down_revision = "k0001"

_DDL = """
ALTER TABLE dead_letter ADD COLUMN first_failed_at timestamptz NOT NULL DEFAULT now();
UPDATE dead_letter SET first_failed_at = failed_at;
UPDATE dead_letter SET state = 'parked' WHERE state = 'skipped';
DROP INDEX ix_dead_letter_open;
CREATE INDEX ix_dead_letter_state ON dead_letter (state, failed_at, id);

CREATE TABLE operator_action (
    id text CONSTRAINT pk_operator_action PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    operator text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    outcome text NOT NULL
);
CREATE INDEX ix_operator_action_at ON operator_action (at, id);
CREATE INDEX ix_operator_action_subject ON operator_action (subject, at, id);
"""


def upgrade() -> None:
    for statement in _DDL.split(";\n"):
        if statement.strip():
            op.execute(statement)
    # Who did what stays written: the application may add a line and read it, and nothing else.
    op.execute(f"REVOKE UPDATE, DELETE ON operator_action FROM {context.config.attributes['service']}_app")
