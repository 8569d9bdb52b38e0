"""The supervisor with tiny fake programs: what dies comes back, what must stop stops."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from freeport.errors import StartupError
from freeport.health import wait_until_serving
from freeport.processes import free_port, halt, launch
from freeport.state import Condition
from freeport.supervisor import Backoff, Keeper, ProgramPart, describe_exit
from tests.runtime.conftest import MakeProgram, Reports
from tests.runtime.waiting import wait_until

FOREVER = "import time\nwhile True: time.sleep(60)"
DIES_AT_ONCE = "import sys; print('no database'); sys.exit(3)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
QUICK = Backoff(first=0.01, longest=0.05)


async def test_a_killed_program_is_started_again_in_a_new_process(make_program: MakeProgram, reports: Reports) -> None:
    keeper = Keeper(ProgramPart(make_program(FOREVER)), reports, QUICK)
    await keeper.begin()
    first = (await reports.until(lambda state: state.condition is Condition.RUNNING)).process
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    again = await reports.until(lambda state: state.condition is Condition.RUNNING and state.restarts == 1)
    await keeper.end()
    assert again.process is not None
    assert again.process.pid != first.pid
    assert again.last_exit == "signal SIGKILL"


async def test_a_program_that_keeps_dying_backs_off_and_says_when_it_is_tried_next(
    make_program: MakeProgram, reports: Reports
) -> None:
    keeper = Keeper(ProgramPart(make_program(DIES_AT_ONCE)), reports, QUICK)
    await keeper.begin()
    backing_off = await reports.until(lambda state: state.condition is Condition.BACKING_OFF and state.restarts == 3)
    await keeper.end()
    assert backing_off.next_start is not None
    assert backing_off.last_exit == "exit code 3"
    assert backing_off.process is None


async def test_a_program_that_cannot_even_be_launched_again_is_tried_on(
    make_program: MakeProgram, reports: Reports
) -> None:
    class NoMemory(ProgramPart):
        launches = 0

        def start(self) -> None:
            self.launches += 1
            if self.launches == 2:
                raise BlockingIOError("cannot allocate memory")
            super().start()

    keeper = Keeper(NoMemory(make_program(FOREVER)), reports, QUICK)
    await keeper.begin()
    first = (await reports.until(lambda state: state.condition is Condition.RUNNING)).process
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    again = await reports.until(lambda state: state.condition is Condition.RUNNING and state.restarts == 2)
    await keeper.end()
    assert again.process != first


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.25, longest=30.0)
    assert [backoff.pause(deaths) for deaths in (1, 2, 3, 8, 1000)] == [0.25, 0.5, 1.0, 30.0, 30.0]


async def test_a_program_that_is_backing_off_can_be_stopped(make_program: MakeProgram, reports: Reports) -> None:
    keeper = Keeper(ProgramPart(make_program(DIES_AT_ONCE)), reports, Backoff(first=600, longest=600))
    await keeper.begin()
    await reports.until(lambda state: state.condition is Condition.BACKING_OFF)
    async with asyncio.timeout(5):
        await keeper.end()
    assert keeper.state.condition is Condition.STOPPED


def test_a_program_that_ignores_the_request_to_stop_is_killed(make_program: MakeProgram, tmp_path: Path) -> None:
    process = launch(make_program(DEAF))
    wait_until(lambda: "deaf" in (tmp_path / "fake.log").read_text(), "it to be deaf")
    assert not halt(process, patience=0.2)
    assert process.returncode == -signal.SIGKILL


async def test_giving_up_a_start_leaves_no_process_behind(make_program: MakeProgram, reports: Reports) -> None:
    may_launch = threading.Event()

    class SlowToLaunch(ProgramPart):
        def start(self) -> None:
            may_launch.wait(20)
            super().start()

    part = SlowToLaunch(make_program(FOREVER))
    keeper = Keeper(part, reports, QUICK)
    beginning = asyncio.create_task(keeper.begin())
    await reports.until(lambda state: state.condition is Condition.STARTING)
    beginning.cancel()
    ending = asyncio.create_task(keeper.end())
    may_launch.set()
    await ending
    assert part.exit_code() is not None


async def test_a_service_that_dies_three_times_before_it_serves_is_given_up_with_its_last_words(
    make_program: MakeProgram, reports: Reports
) -> None:
    program = make_program(DIES_AT_ONCE)
    keeper = Keeper(ProgramPart(program), reports, QUICK)
    await keeper.begin()
    with pytest.raises(StartupError, match=r"ended \d+ times \(exit code 3\); its last line: no database"):
        await wait_until_serving(f"http://127.0.0.1:{free_port()}/readyz", program, keeper, within=60)
    await keeper.end()


async def test_a_service_that_never_answers_is_given_up(make_program: MakeProgram, reports: Reports) -> None:
    program = make_program(FOREVER)
    keeper = Keeper(ProgramPart(program), reports, QUICK)
    await keeper.begin()
    with pytest.raises(StartupError, match="did not answer 200 within 0 s"):
        await wait_until_serving(f"http://127.0.0.1:{free_port()}/readyz", program, keeper, within=0.3)
    await keeper.end()


@pytest.mark.parametrize(("code", "words"), [(3, "exit code 3"), (-9, "signal SIGKILL"), (0, "exit code 0")])
def test_how_a_program_ended_is_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
