"""The platform's public HTTP interface as one store uses it: what the demo and the replay speak, and nothing else."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

_BUSY = frozenset({429, 502, 503, 504})
_PAUSE_S = 0.2


class Problem(Exception):
    """A service said no: RFC 9457 with a stable `code`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = body
        self.code = str(body.get("code", f"http.{status}"))
        self.detail = str(body.get("detail", body.get("title", "")))
        super().__init__(f"{status} {self.code}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response. `replayed` tells that it is the stored answer to an idempotency key."""

    status: int
    body: Any
    replayed: bool = False


class Api:
    """Calls with a store's key. A service that is away or busy is tried again, with the same idempotency key."""

    def __init__(self, urls: Mapping[str, str], key: str, http: httpx.AsyncClient, *, patience: float = 30.0) -> None:
        self._urls = urls
        self._key = key
        self._http = http
        self._patience = patience

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, urls: Mapping[str, str], key: str, *, patience: float = 30.0, connections: int = 64
    ) -> "AsyncGenerator[Api]":
        """`urls` by service. `patience` (seconds) bounds how long a service may be away."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # trust_env=False: the calls go to this machine, whatever proxy the environment names.
        async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as http:
            yield cls(urls, key, http, patience=patience)

    def with_key(self, key: str) -> "Api":
        """The same platform as another store or operator sees it."""
        return Api(self._urls, key, self._http, patience=self._patience)

    async def get(self, service: str, path: str, **query: Any) -> Any:
        """The body of a 2xx; raises Problem."""
        answer = await self.call("GET", service, path, query={name: v for name, v in query.items() if v is not None})
        return answer.body

    async def post(
        self, service: str, path: str, body: Any = None, *, key: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`key` is the Idempotency-Key. Raises Problem for what is no 2xx."""
        sent = dict(headers or {})
        if key:
            sent["Idempotency-Key"] = key
        return await self.call("POST", service, path, body=body, headers=sent)

    async def call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One call, repeated while the service is away; raises Problem, and TimeoutError when it stays away."""
        deadline = time.monotonic() + self._patience
        while True:
            response = await self._try(method, service, path, body, headers, query)
            if response is not None and response.status_code not in _BUSY:
                return _answer(response)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service} gave no answer to {method} {path} within {self._patience:.0f} s")
            await asyncio.sleep(_pause(response))

    async def pages(self, service: str, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        after: str | None = None
        while True:
            page = await self.get(service, path, after=after, **query)
            for item in page["data"]:
                yield item
            if not page["has_more"]:
                return
            after = page["next"]

    async def _try(
        self,
        method: str,
        service: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None,
        query: Mapping[str, Any] | None,
    ) -> httpx.Response | None:
        sent = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        url = self._urls[service] + path
        try:
            return await self._http.request(method, url, json=body, headers=sent, params=query)
        except httpx.TransportError:
            # Killed in the middle, or not up yet. Every write carries a key, so that asking again is safe.
            return None


async def until(
    look: Callable[[], Coroutine[Any, Any, T]], done: Callable[[T], bool], what: str, *, within: float = 20.0
) -> T:
    """Look again until `done`; the last look. Raises TimeoutError that says what was waited for and what was seen."""
    deadline = time.monotonic() + within
    pause = 0.02
    while True:
        seen = await look()
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:.0f} s; last seen: {str(seen)[:600]}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.3)


def _answer(response: httpx.Response) -> Answer:
    body = response.json() if response.content and "json" in response.headers.get("content-type", "") else None
    if response.is_success:
        replayed = response.headers.get("idempotent-replayed") == "true"
        return Answer(response.status_code, response.content if body is None else body, replayed)
    raise Problem(response.status_code, body if isinstance(body, dict) else {"detail": response.text[:300]})  # pyright: ignore[reportUnknownArgumentType] - JSON has no types


def _pause(response: httpx.Response | None) -> float:
    if response is None:
        return _PAUSE_S
    try:
        return min(float(response.headers.get("retry-after", _PAUSE_S)), 2.0)
    except ValueError:
        return _PAUSE_S
