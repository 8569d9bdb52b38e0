"""Everything together: every service serves, knows the keys, and comes back quickly."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Self

import asyncpg
import httpx
import psutil
import pytest

from freeport.health import which_answer
from freeport.layout import ROOT, SERVICES, is_built
from freeport.platform import Platform
from freeport.state import Phase
from tests.runtime.waiting import wait_until

BUILT = [service for service in SERVICES if is_built(service)]

PUBLIC = ("/v1/quote-keys",)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECOND_START_WITHIN = 15.0  # seconds on two cores of our own


def test_every_service_that_is_built_serves(platform: Platform) -> None:
    probes = {service: platform.ports.probe(service) for service in BUILT}
    assert set(probes) <= set(platform.urls)
    assert all(asyncio.run(which_answer(probes)).values())


@pytest.mark.parametrize("service", BUILT)
def test_the_test_key_opens_every_service_and_a_wrong_one_none(platform: Platform, service: str) -> None:
    listing = a_list_of(platform, service)
    assert httpx.get(listing, headers=bearer(platform.test_key)).status_code == 200
    assert httpx.get(listing, headers=bearer("sk_test_guess")).status_code == 401


@pytest.mark.parametrize("service", BUILT)
async def test_a_service_runs_as_a_role_that_cannot_change_its_tables(platform: Platform, service: str) -> None:
    connection = await asyncpg.connect(platform.postgres)
    try:
        roles = await connection.fetch("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = $1", service)
    finally:
        await connection.close()
    assert {row["usename"] for row in roles} == {f"{service}_app"}


def test_a_killed_service_serves_again_in_another_process(platform: Platform) -> None:
    killed = platform.kill("inventory", signal.SIGKILL)
    platform.wait_ready("inventory", after=killed, within=60)
    assert platform.process_of("inventory") != killed


def test_a_killed_broker_and_a_killed_database_come_back_under_running_services(platform: Platform) -> None:
    before = {service: platform.process_of(service) for service in BUILT}
    for part in ("kafka", "postgres"):
        killed = platform.kill(part, signal.SIGKILL)
        wait_until(lambda part=part, killed=killed: platform.process_of(part) not in (None, killed), f"{part} again")
    for service in before:
        platform.wait_ready(service, within=60)
    assert {service: platform.process_of(service) for service in before} == before


def test_a_second_start_takes_less_than_fifteen_seconds(platform: Platform) -> None:
    freeport(platform, "down")
    with Undisturbed() as start:
        freeport(platform, "up", "--detach", "--port-base", str(platform.ports.base))
        start.used = cpu_seconds(platform)
    assert platform.state().phase is Phase.READY
    assert start.seconds < SECOND_START_WITHIN


class Undisturbed:
    """Elapsed time less what other programs took of the processors meanwhile; `used` is our own processor time."""

    used = 0.0

    def __enter__(self) -> Self:
        self._started, self._busy = time.monotonic(), busy_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        others = max(0.0, busy_seconds() - self._busy - self.used)
        self.seconds = time.monotonic() - self._started - others / (os.cpu_count() or 1)


def busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


def cpu_seconds(platform: Platform) -> float:
    """Processor time of the platform's processes since they were started."""
    pids = [platform.state().supervisor.pid]
    pids += [program.process.pid for program in platform.state().programs.values() if program.process]
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def freeport(platform: Platform, *arguments: str) -> None:
    command = (sys.executable, "-m", "freeport", *arguments, "--home", str(platform.home.directory))
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def a_list_of(platform: Platform, service: str) -> str:
    """The URL of one of the service's lists: a GET that needs no id and is not for everybody."""
    paths = httpx.get(f"{platform.urls[service]}/openapi.json").json()["paths"]
    lists = [path for path in paths if "get" in paths[path] and "{" not in path and path.startswith("/v1/")]
    return f"{platform.urls[service]}{next(path for path in lists if path not in PUBLIC)}"
