"""The directories of PostgreSQL and Kafka: other versions, root, long paths, a server left over from a crash."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from freeport.embedded import account
from freeport.embedded.jars import kafka_version
from freeport.embedded.kafka import EmbeddedKafka
from freeport.embedded.postgres import EmbeddedPostgres
from freeport.errors import StartupError
from freeport.state import ProcessId
from tests.fixtures.embedded import open_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")


@pytest.fixture
def directory() -> Iterator[Path]:
    found = open_directory()
    yield found
    shutil.rmtree(found)


@pytest.mark.integration
async def test_a_path_longer_than_a_unix_socket_may_have_is_no_obstacle(directory: Path) -> None:
    deep = directory / ("a" * 90) / ("b" * 90)
    server = EmbeddedPostgres(deep / "postgres", password="secret")
    server.start()
    try:
        assert await answer(server) == 1
    finally:
        server.stop()
    assert not list(deep.rglob(".s.PGSQL*"))


def test_data_of_another_postgresql_is_refused_and_left_alone(directory: Path) -> None:
    data = directory / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartupError) as refused:
        EmbeddedPostgres(directory / "postgres", password="secret").start()
    assert "was made by version 17, this Freeport runs version 18" in refused.value.why
    assert "freeport reset" in refused.value.fix
    assert (data / "PG_VERSION").read_text() == "17\n"


def test_data_of_a_newer_kafka_is_refused(directory: Path) -> None:
    (directory / "kafka").mkdir()
    (directory / "kafka" / "version").write_text("99.0.1")
    with pytest.raises(StartupError, match=f"made by version 99.0.1, this Freeport runs version {kafka_version()}"):
        EmbeddedKafka(directory / "kafka").start()


@pytest.mark.integration
async def test_postgresql_18_runs_with_full_durability_on_the_loopback_interface_alone(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", password="secret")
    server.start()
    try:
        connection = await asyncpg.connect(server.admin_url)
        names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "server_version")
        found = {name: await connection.fetchval(f"SHOW {name}") for name in names}
        await connection.close()
    finally:
        server.stop()
    assert found.pop("server_version").startswith("18.")
    assert found == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
    }


@pytest.mark.integration
async def test_a_server_left_over_from_a_crash_gives_way_and_its_data_stays(directory: Path) -> None:
    first = EmbeddedPostgres(directory / "postgres", password="secret")
    first.start()
    await execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    # A second object knows nothing of the first: so it is after the supervisor was killed.
    second = EmbeddedPostgres(directory / "postgres", password="secret")
    second.start()
    try:
        assert await fetch(second, "SELECT answer FROM kept") == 42
        assert first.exit_code() is not None
    finally:
        second.stop()


@pytest.mark.integration
async def test_what_was_committed_survives_a_kill_of_the_server(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", password="secret")
    server.start()
    await execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.pid is not None
    killed = ProcessId.of(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert killed is None or killed.process() is None
    server.start()
    try:
        assert await fetch(server, "SELECT answer FROM kept") == 42
    finally:
        server.stop()


@pytest.mark.integration
def test_an_interrupted_initialisation_is_begun_again(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", password="secret")
    unfinished = directory / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server.start()
    server.stop()
    assert (directory / "postgres" / "data" / "PG_VERSION").exists()


@as_root
@pytest.mark.integration
async def test_root_in_a_directory_that_others_may_not_enter_keeps_the_data_where_the_account_reaches_it(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(tmp_path / "postgres", password="secret")
    server.start()
    elsewhere = (tmp_path / "postgres").resolve()
    try:
        assert await answer(server) == 1
        assert elsewhere.parent == account.SYSTEM_HOME
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        server.stop()
        shutil.rmtree(elsewhere)


@as_root
def test_binaries_that_the_account_cannot_reach_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "SYSTEM_HOME", open_directory() / "freeport")
    hidden = tmp_path / "hidden"
    (hidden / "bin").mkdir(parents=True)
    (hidden / "bin" / "postgres").touch(mode=0o755)
    hidden.chmod(0o700)
    nobody = account.server_account()
    assert nobody is not None
    copy = account.reachable_copy(nobody, hidden / "bin", "server/bin")
    again = account.reachable_copy(nobody, hidden / "bin", "server/bin")
    assert copy == again == account.SYSTEM_HOME / "server" / "bin"
    assert account.can_reach(nobody, copy)
    assert stat.S_IMODE((copy / "postgres").stat().st_mode) == 0o755
    shutil.rmtree(account.SYSTEM_HOME.parent)


@as_root
def test_where_the_account_can_reach_nothing_at_all_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(account, "SYSTEM_HOME", tmp_path / "system")
    with pytest.raises(StartupError, match="the account `nobody` may not enter"):
        EmbeddedPostgres(tmp_path / "postgres", password="secret").start()


async def answer(server: EmbeddedPostgres) -> int:
    return await fetch(server, "SELECT 1")


async def fetch(server: EmbeddedPostgres, sql: str) -> int:
    connection = await asyncpg.connect(server.admin_url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def execute(server: EmbeddedPostgres, sql: str) -> None:
    connection = await asyncpg.connect(server.admin_url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
