"""PostgreSQL and Kafka as they run embedded."""

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from tests.fixtures.embedded import RunningKafka, RunningPostgres

pytestmark = pytest.mark.integration


async def test_a_wrong_password_is_refused(postgres: RunningPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.server.url("postgres", "guess", "postgres"))


async def test_the_application_role_uses_tables_but_cannot_make_them(postgres: RunningPostgres) -> None:
    database = await postgres.create_database("orders")
    owner = await asyncpg.connect(database.owner_url)
    app = await asyncpg.connect(database.app_url)
    try:
        await owner.execute("CREATE TABLE parcel (id bigint generated always as identity, weight int)")
        await app.execute("INSERT INTO parcel (weight) VALUES (250)")
        assert await app.fetchval("SELECT sum(weight) FROM parcel") == 250
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE TABLE mine (id int)")
    finally:
        await owner.close()
        await app.close()


async def test_a_service_cannot_enter_the_database_of_another(postgres: RunningPostgres) -> None:
    orders = await postgres.create_database("orders")
    await postgres.create_database("payments")
    intruder = postgres.server.url("payments_app", "app", orders.name)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(intruder)


async def test_what_is_sent_to_kafka_comes_back(kafka: RunningKafka) -> None:
    await kafka.create_topics("runtime.echo")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        "runtime.echo", bootstrap_servers=kafka.bootstrap, group_id="runtime-test", auto_offset_reset="earliest"
    )
    await producer.start()
    await consumer.start()
    try:
        await producer.send_and_wait("runtime.echo", b"a parcel", key=b"1")
        assert (await consumer.getone()).value == b"a parcel"
    finally:
        await consumer.stop()
        await producer.stop()


async def test_a_topic_that_nobody_made_does_not_appear_by_itself(kafka: RunningKafka) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, request_timeout_ms=2000)
    await producer.start()
    try:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.partitions_for("runtime.nobody-made-this")
    finally:
        await producer.stop()
