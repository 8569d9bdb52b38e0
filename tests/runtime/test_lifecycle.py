"""`freeport up`, `status`, `urls`, `down` and a kill -9 of the supervisor, as a person at the command line sees them.

The services are left out: what is tried here is the runtime under them, with a real PostgreSQL, a real Kafka and the two
sandboxes as the programs that it keeps.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from freeport.errors import StartupError
from freeport.layout import ROOT, SERVICES, Home, sandbox_is_built
from freeport.platform import Platform, delete_platform, free_port_base, start_platform
from freeport.state import Condition
from shared.contracts.topics import TOPICS
from tests.fixtures.embedded import open_directory
from tests.runtime.waiting import processes_of, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running() -> Iterator[Platform]:
    """A platform without its services; what a test stops it starts again."""
    parent = open_directory()
    home = Home(parent / "freeport")
    try:
        with start_platform(home.directory, free_port_base(), without=SERVICES) as platform:
            yield platform
    finally:
        delete_platform(home)
        shutil.rmtree(parent)


@pytest.fixture
def supervised(running: Platform) -> str:
    """A program that the supervisor keeps and that a test may kill."""
    if not sandbox_is_built("provider"):
        return "kafka"
    return "provider"


def test_urls_are_told_in_json_for_scripts(running: Platform) -> None:
    told = json.loads(freeport(running, "urls", "--json").stdout)
    assert set(told) >= {"console", "services", "test_key", "kafka", "postgres"}
    assert told["test_key"].startswith("sk_test_")
    assert told["kafka"] == running.kafka


def test_urls_are_told_in_words_for_people(running: Platform) -> None:
    words = freeport(running, "urls").stdout
    assert running.test_key in words
    assert running.postgres in words


def test_status_shows_every_program(running: Platform) -> None:
    told = json.loads(freeport(running, "status", "--json").stdout)
    assert told["phase"] == "ready"
    conditions = {row["name"]: row["condition"] for row in told["programs"]}
    assert conditions["postgres"] == conditions["kafka"] == "running"
    assert {conditions[service] for service in SERVICES} <= {"left out", "not built"}


def test_a_second_start_says_that_it_runs_already(running: Platform) -> None:
    answer = freeport(running, "up", "--detach", check=False)
    assert answer.returncode == 1
    assert "Freeport is already running" in answer.stderr
    assert "freeport down" in answer.stderr


def test_secrets_are_for_their_owner_alone(running: Platform) -> None:
    assert running.home.secrets.stat().st_mode & 0o077 == 0


def test_a_log_can_be_read_by_name(running: Platform) -> None:
    told = json.loads(freeport(running, "logs", "kafka", "--json", "--lines", "5").stdout)
    assert any("Kafka Server started" in line for line in told["kafka"])


def test_a_killed_program_comes_back_and_status_tells_how_it_ended(running: Platform, supervised: str) -> None:
    killed = running.kill(supervised)
    wait_for_process(running, supervised, other_than=killed.pid)
    row = row_of(running, supervised)
    assert row["restarts"] >= 1
    assert row["last_exit"] == "signal SIGKILL"


async def test_the_topics_are_there_with_three_partitions_each(running: Platform) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=running.kafka)
    await admin.start()
    try:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    assert {topic["topic"]: len(topic["partitions"]) for topic in described} == {topic.name: 3 for topic in TOPICS}


async def test_after_a_kill_of_the_supervisor_the_next_start_recovers_and_loses_nothing(running: Platform) -> None:
    await keep_something(running)
    supervisor = running.state().supervisor.pid
    port_base = running.ports.base
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: running.state().supervisor.process() is None, "the supervisor to die")

    told = json.loads(freeport(running, "status", "--json", check=False).stdout)
    assert told["phase"] == "stopped"
    assert {"postgres", "kafka"} <= set(told["left_over"])

    left_out = [word for service in SERVICES for word in ("--without", service)]
    recovered = freeport(running, "up", "--detach", "--port-base", str(port_base), *left_out)
    assert "left over (stopped" in recovered.stdout
    assert running.state().supervisor.pid != supervisor
    assert await what_was_kept(running) == ("a row", b"a message")


def test_down_stops_everything_and_up_goes_on_with_the_data(running: Platform) -> None:
    processes = {name: running.process_of(name) for name in ("postgres", "kafka")}
    freeport(running, "down")
    assert all(process is not None and process.process() is None for process in processes.values())
    assert {program.condition for program in running.state().programs.values()} <= {
        Condition.STOPPED,
        Condition.LEFT_OUT,
        Condition.NOT_BUILT,
    }
    left_out = [word for service in SERVICES for word in ("--without", service)]
    freeport(running, "up", "--detach", "--port-base", str(running.ports.base), *left_out)
    assert row_of(running, "postgres")["condition"] == "running"


def test_ctrl_c_stops_a_start_in_the_foreground_and_leaves_nothing_running() -> None:
    home = Home(open_directory() / "freeport")
    left_out = [word for service in SERVICES for word in ("--without", service)]
    command = (sys.executable, "-m", "freeport", "up", "--home", str(home.directory), "--port-base")
    process = subprocess.Popen(
        (*command, str(free_port_base()), *left_out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: home.log("kafka").exists(), "Kafka to be started")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        with pytest.raises(StartupError, match="not running"):
            Platform.load(home.directory)
        assert not processes_of(home)
    finally:
        process.kill()
        delete_platform(home)
        home.directory.parent.rmdir()


async def keep_something(platform: Platform) -> None:
    connection = await asyncpg.connect(platform.postgres)
    await connection.execute("CREATE TABLE kept AS SELECT 'a row' AS what")
    await connection.close()
    producer = AIOKafkaProducer(bootstrap_servers=platform.kafka, acks="all")
    await producer.start()
    await producer.send_and_wait(TOPICS[0].name, b"a message", key=b"kept", partition=0)
    await producer.stop()


async def what_was_kept(platform: Platform) -> tuple[str, bytes | None]:
    connection = await asyncpg.connect(platform.postgres)
    row = await connection.fetchval("SELECT what FROM kept")
    await connection.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=platform.kafka)
    await consumer.start()
    partition = TopicPartition(TOPICS[0].name, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    message = (await consumer.getone(partition)).value
    await consumer.stop()
    return row, message


def freeport(platform: Platform, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "freeport", *arguments, "--home", str(platform.home.directory))
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0 or not check, answer.stdout + answer.stderr
    return answer


def row_of(platform: Platform, name: str) -> dict[str, Any]:
    rows = json.loads(freeport(platform, "status", "--json", check=False).stdout)["programs"]
    return next(row for row in rows if row["name"] == name)


def wait_for_process(platform: Platform, name: str, *, other_than: int) -> None:
    def is_back() -> bool:
        process = platform.process_of(name)
        return process is not None and process.pid != other_than

    wait_until(is_back, f"{name} to come back")
