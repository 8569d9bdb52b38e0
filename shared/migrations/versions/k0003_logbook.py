"""What a relay remembers of its logs, so that it sees when one was lost and fills it again."""

from alembic import op

revision = "k0003"
down_revision = "k0002"

_DDL = """
CREATE TABLE published_landmark (
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    event_id text NOT NULL,
    stamp bigint NOT NULL,
    cluster_id text NOT NULL,
    CONSTRAINT pk_published_landmark PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE republication (
    name text CONSTRAINT pk_republication PRIMARY KEY,
    topics text[] NOT NULL,
    after_id bigint NOT NULL,
    until_id bigint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    for statement in _DDL.split(";\n"):
        if statement.strip():
            op.execute(statement)
