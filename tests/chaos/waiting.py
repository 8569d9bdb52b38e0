"""Waiting for a fact while servers come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from aiokafka.errors import KafkaError

from freeport import api
from shared.database import is_transient

T = TypeVar("T")
_LOOK_WITHIN_S = 30.0


async def until(look: Callable[[], Awaitable[T | None]], fact: Callable[[T], bool], what: str, within: float) -> T:
    """Look until there is something and the fact is so; what was seen. TimeoutError.

    Whoever is away when asked, perhaps by another fault, is asked again.
    """

    async def seen() -> T | Exception | None:
        try:
            async with asyncio.timeout(_LOOK_WITHIN_S):
                return await look()
        except Exception as error:
            if not is_away(error):
                raise
            return error

    def so(now: T | Exception | None) -> bool:
        return now is not None and not isinstance(now, Exception) and fact(now)

    found = await api.until(seen, so, what, within=within)
    assert found is not None
    assert not isinstance(found, Exception)
    return found


async def until_true(fact: Callable[[], bool], what: str, within: float) -> None:
    """The same for what can be told without waiting."""

    async def look() -> bool:
        return fact()

    await api.until(look, bool, what, within=within)


def is_away(error: Exception) -> bool:
    """Whether it only says that a server cannot be reached, or not now."""
    return isinstance(error, KafkaError | httpx.HTTPError) or is_transient(error)
