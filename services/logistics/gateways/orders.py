"""Orders, asked for names and addresses: the one question that a service asks another, and never in a transaction."""

import asyncio
from typing import Any

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.effects import Call

_log = structlog.get_logger()
_AT_ONCE = 100


class _Address(BaseModel):
    model_config = ConfigDict(extra="ignore")

    line1: str
    line2: str | None = ""
    city: str
    region: str | None = ""
    postcode: str | None = ""
    country: str


class _Recipient(BaseModel):
    model_config = ConfigDict(extra="ignore")

    order_id: str
    name: str
    email: str | None = ""
    phone: str | None = ""
    address: _Address


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: list[_Recipient] = []
    missing: list[str] = []


class Recipients:
    """Names and addresses by order. Questions that wait while one is under way share the next request."""

    def __init__(self, client: httpx.AsyncClient, *, url: str, key: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/internal/v1/recipients:batch"
        self._headers = {"authorization": f"Bearer {key}"}
        self._waiting: dict[str, asyncio.Future[dict[str, Any] | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def fetch(self, call: Call) -> dict[str, Any] | None:
        """{"recipient": {…}} or {"missing": true}; None when orders does not answer."""
        order_id = str(call.request["subject"])
        waiting = self._waiting.setdefault(order_id, asyncio.get_running_loop().create_future())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_while_any_waits())
        return await asyncio.shield(waiting)

    async def _ask_while_any_waits(self) -> None:
        await asyncio.sleep(0)  # those that came together ask together
        while self._waiting:
            batch = {order_id: self._waiting.pop(order_id) for order_id in list(self._waiting)[:_AT_ONCE]}
            found = await self._ask(list(batch))
            for order_id, waiting in batch.items():
                if not waiting.done():
                    waiting.set_result(found.get(order_id))

    async def _ask(self, orders: list[str]) -> dict[str, dict[str, Any]]:
        try:
            answer = await self._client.post(self._url, json={"order_ids": orders}, headers=self._headers)
            answer.raise_for_status()
            found = _Answer.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            _log.warning("recipients.unanswered", orders=len(orders), error=type(error).__name__, detail=_words(error))
            return {}
        known = {each.order_id: {"recipient": each.model_dump(exclude={"order_id"})} for each in found.data}
        return {order_id: {"missing": True} for order_id in found.missing} | known


def _words(error: httpx.HTTPError | ValidationError) -> str:
    """What went wrong, without what the answer contained: it may hold names."""
    if isinstance(error, ValidationError):
        return ", ".join(f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in error.errors()[:5])
    return str(error)
