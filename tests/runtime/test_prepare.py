"""Databases and topics are prepared from the code: what changed is done again, what did not is left alone."""

from pathlib import Path

import asyncpg
import pytest

from freeport.databases import fingerprint, write_api_keys
from freeport.secrets import ApiKey
from freeport.topics import create_topics, topic_config
from shared.contracts.registry import Topic, TopicKind
from tests.fixtures.embedded import RunningKafka, RunningPostgres

STREAM = Topic("runtime.stream.v1", TopicKind.STREAM, partitions=12, retention_ms=1000)
STATE = Topic("runtime.state.v1", TopicKind.STATE, partitions=6, retention_ms=None)
API_KEY_TABLE = """
CREATE TABLE api_key (
    key_hash text PRIMARY KEY, prefix text, store_id text, scopes text[],
    created_at timestamptz DEFAULT now(), revoked_at timestamptz
)"""


def a_service(root: Path) -> Path:
    versions = root / "services" / "orders" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_first.py").write_text("revision = '0001'")
    (root / "shared").mkdir()
    (root / "shared" / "database.py").write_text("")
    return versions


def test_a_new_migration_changes_the_fingerprint(tmp_path: Path) -> None:
    versions = a_service(tmp_path)
    before = fingerprint("orders", tmp_path)
    (versions / "0002_more.py").write_text("revision = '0002'")
    assert fingerprint("orders", tmp_path) != before


def test_a_changed_kit_changes_the_fingerprint(tmp_path: Path) -> None:
    a_service(tmp_path)
    before = fingerprint("orders", tmp_path)
    (tmp_path / "shared" / "database.py").write_text("# other")
    assert fingerprint("orders", tmp_path) != before


def test_code_that_no_migration_runs_leaves_the_fingerprint(tmp_path: Path) -> None:
    a_service(tmp_path)
    before = fingerprint("orders", tmp_path)
    (tmp_path / "services" / "orders" / "api.py").write_text("# a route")
    assert fingerprint("orders", tmp_path) == before


def test_state_topics_are_compacted_and_stream_topics_expire() -> None:
    assert topic_config(STATE)["cleanup.policy"] == "compact"
    assert topic_config(STREAM) == {"cleanup.policy": "delete", "retention.ms": "1000"}


@pytest.mark.integration
async def test_topics_are_created_once(kafka: RunningKafka) -> None:
    assert await create_topics(kafka.bootstrap, [STREAM, STATE], partitions=3) == [STREAM.name, STATE.name]
    assert await create_topics(kafka.bootstrap, [STREAM, STATE], partitions=3) == []


@pytest.mark.integration
async def test_a_revoked_key_stays_revoked_when_keys_are_written_again(postgres: RunningPostgres) -> None:
    database = await postgres.create_database("catalog")
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(API_KEY_TABLE)
        keys = [ApiKey("aa", "sk_test_", "str_demo", ("*",))]
        await write_api_keys(database.owner_url, keys)
        await owner.execute("UPDATE api_key SET revoked_at = now()")
        await write_api_keys(database.owner_url, keys)
        rows = await owner.fetch("SELECT store_id, scopes, revoked_at IS NULL AS live FROM api_key")
    finally:
        await owner.close()
    assert [tuple(row) for row in rows] == [("str_demo", ["*"], False)]
