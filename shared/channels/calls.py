"""One call to a channel: bounded, without redirects, its failures in the port's three words. Nothing is retried or logged here."""

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx

from shared.channels.port import ChannelBusy, ChannelRefused, ChannelSilent

WITHIN_S = 15.0
MOST_BYTES = 8 * 1024 * 1024
_REST_S = 1.0
_LONGEST_REST_S = 3600.0
_MOST_DETAIL = 300


class Caller:
    """Calls below one address with the same headers. The headers carry the key: they are in no message."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, headers: Mapping[str, str], within_s: float | None = None
    ) -> None:
        self._http = http
        self._base_url = base_url
        self._headers = dict(headers)
        self._within_s = WITHIN_S if within_s is None else within_s

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """The 2xx answer; `headers` are this call's own. Raises ChannelBusy, ChannelRefused (4xx, 3xx) or ChannelSilent."""
        try:
            async with (
                asyncio.timeout(self._within_s),
                self._http.stream(
                    method,
                    self._base_url + path,
                    headers={**self._headers, **(headers or {})},
                    follow_redirects=False,
                    **more,
                ) as answer,
            ):
                body = await _read(answer)
        except (
            OSError,
            httpx.HTTPError,
        ) as error:  # a TimeoutError is an OSError, and TLS that breaks later an ssl.SSLError
            raise ChannelSilent(f"{method} {path}: {type(error).__name__}") from None
        # Decoded already: only what is asked for later of the headers goes on.
        read = httpx.Response(answer.status_code, headers=_kept(answer.headers), content=body)
        return _judged(read, f"{method} {path}")


def _kept(headers: httpx.Headers) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in ("content-encoding", "content-length", "transfer-encoding")
    }


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            raise httpx.ReadError("the answer has no end")
    return bytes(body)


def _judged(answer: httpx.Response, call: str) -> httpx.Response:
    status = answer.status_code
    if status in (429, 503):
        raise ChannelBusy(rest_s(answer.headers.get("retry-after", ""), datetime.now(UTC)))
    if status >= 500 or status == 408:
        raise ChannelSilent(f"{call}: {status}")
    if status >= 300:
        raise ChannelRefused(*_words(answer))
    return answer


def rest_s(said: str, now: datetime) -> float:
    """Seconds that a Retry-After wants, given as seconds or as an HTTP date (RFC 9110, 10.2.3); a second where it is unreadable."""
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - now).total_seconds()
        except (ValueError, TypeError):
            return _REST_S
    return min(max(seconds, 0.0), _LONGEST_REST_S) if math.isfinite(seconds) else _REST_S


def _words(answer: httpx.Response) -> tuple[str, str]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    said = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return str(said.get("code", answer.status_code))[:100], str(said.get("detail", ""))[:_MOST_DETAIL]
