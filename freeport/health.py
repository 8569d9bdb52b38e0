"""Ask services over HTTP whether they live and serve."""

import asyncio

import httpx

from freeport.embedded.postgres import last_line
from freeport.errors import StartupError
from freeport.processes import Program
from freeport.supervisor import Keeper

DEATHS_BEFORE_GIVING_UP = 3
ASK_EVERY = 0.1  # seconds
ANSWER_WITHIN = 2.0  # seconds


def client() -> httpx.AsyncClient:
    """For the loopback interface: a proxy of the environment must not stand between."""
    return httpx.AsyncClient(trust_env=False, timeout=ANSWER_WITHIN)


async def answers(http: httpx.AsyncClient, url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


async def wait_until_serving(probe: str, program: Program, keeper: Keeper, *, within: float) -> None:
    """Wait until the URL is answered; `StartupError` when `within` seconds pass or the program keeps dying."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    async with client() as http:
        while not await answers(http, probe):
            if keeper.state.restarts >= DEATHS_BEFORE_GIVING_UP:
                raise _not_serving(program, f"it ended {keeper.state.restarts} times ({keeper.state.last_exit})")
            if loop.time() > deadline:
                raise _not_serving(program, f"{probe} did not answer 200 within {within:.0f} s")
            await asyncio.sleep(ASK_EVERY)


async def which_answer(probes: dict[str, str]) -> dict[str, bool]:
    """Which of the URLs, by name of their program, are answered now."""
    async with client() as http:
        found = await asyncio.gather(*(answers(http, probe) for probe in probes.values()))
    return dict(zip(probes, found, strict=True))


def _not_serving(program: Program, why: str) -> StartupError:
    return StartupError(
        f"{program.name} does not serve",
        why=f"{why}; its last line: {last_line(program.log)}",
        fix=f"See {program.log}",
    )
