"""HTTP to addresses that strangers name, without letting them reach what only we can reach (server-side request forgery).

A host is resolved once, every address that it has is checked, and the connection goes to a checked address: what the name says
a moment later does not matter. TLS and the Host header keep the name. There are no redirects, no proxies from the environment,
no cookies; time, headers and what is read of a body are bounded.

`ipaddress.is_global` is not enough: it lets NAT64 (`64:ff9b::a9fe:a9fe` is 169.254.169.254), 6to4 and multicast pass.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias, cast

import httpcore
import httpx

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises OSError where it has none."""

MAX_URL = 2048
_CONNECT_S = 4.0
_GLIMPSE_S = 2.0
_ADDRESSES_TRIED = 3
_LOOKUPS_AT_ONCE = 32
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_\-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_\-]{0,61}[a-z0-9_])?)*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


class OutboundFailed(httpx.TransportError):
    """There was no answer. `code` is stable and one of `CODES`; the message names no address of ours."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


CODES = {
    "url_forbidden": "the address is not one that may be called",
    "address_forbidden": "the host has an address that may not be called",
    "dns_failed": "the host has no address",
    "connect_failed": "nobody answers there",
    "tls_failed": "the certificate, the TLS handshake or what came over TLS is not right",
    "timeout": "no answer in time",
    "connection_lost": "the connection broke before the answer",
    "malformed_response": "the answer is not HTTP, is cut off, or its headers are too large",
}
"""Why there was no answer."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be called: https on port 443. `allow_local` permits http, any port and the loopback as well: for tests and demos."""

    allow_local: bool = False


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# IANA's special-purpose registries, and what routes into somebody's own network. The first that fits names the reason.
_V4 = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier_nat"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link_local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_V6 = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "v4_mapped"),
        ("::/96", "v4_compatible"),
        ("64:ff9b::/96", "nat64"),
        ("64:ff9b:1::/48", "nat64"),
        ("fc00::/7", "unique_local"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "site_local"),
        ("ff00::/8", "multicast"),
        ("2001::/32", "teredo"),
        ("2001:db8::/32", "documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def why_forbidden(address: Address, rules: Rules = Rules()) -> str | None:
    """The kind of address that may not be called (`private`, `nat64`, …), or None where it may."""
    reason = _kind(address)
    return None if reason == "loopback" and rules.allow_local else reason


def _kind(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((name for network, name in _V4 if address in network), None)
    named = next((name for network, name in _V6 if address in network), None)
    return named or (None if address in _GLOBAL_UNICAST else "reserved")


# ── URLs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_url(url: str, rules: Rules = Rules()) -> httpx.URL:
    """The URL, if it may be called as far as it alone tells. Raises OutboundFailed `url_forbidden` or `address_forbidden`.

    A host that is written as a number in any spelling but the common one (`2130706433`, `0x7f.1`, `0177.0.0.1`) is refused.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused(f"must have {MAX_URL} printable ASCII characters at most (a name in punycode)")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise _refused("is not a URL") from None
    schemes = ("https", "http") if rules.allow_local else ("https",)
    if parsed.scheme not in schemes:
        raise _refused(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if parsed.userinfo or "@" in parsed.netloc.decode():
        raise _refused("must not carry a user name or password")
    if parsed.fragment or "#" in url:
        raise _refused("must not have a fragment")
    if parsed.port not in (None, 443) and not rules.allow_local:
        raise _refused("must use port 443")
    _check_host(parsed.host, rules)
    return parsed


def _check_host(host: str, rules: Rules) -> None:
    bare = host.removesuffix(".").lower()
    if ":" in bare or _NUMERIC_LABEL.fullmatch(bare.rpartition(".")[2]):
        _check_literal(bare, rules)
    elif len(bare) > 253 or not _HOST.fullmatch(bare):
        raise _refused("must name a host")
    elif not rules.allow_local and ("." not in bare or bare.endswith(".localhost")):
        raise _refused("must name a public host")  # a single label is one of our own network


def _check_literal(text: str, rules: Rules) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        raise _refused("must write an IP address in the common way") from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise _refused("must not name a network interface")
    _check_address(address, rules)


def _check_address(address: Address, rules: Rules) -> None:
    if (reason := why_forbidden(address, rules)) is not None:
        raise OutboundFailed("address_forbidden", f"the host has an address that may not be called ({reason})")


def _refused(why: str) -> OutboundFailed:
    return OutboundFailed("url_forbidden", f"the address {why}")


# ── Resolving and connecting ──────────────────────────────────────────────────────────────────────────────────────────


class SystemResolver:
    """The system's resolver on threads of its own: it blocks for as long as it likes, and the loop's few threads are for others.

    The threads are bounded and do not hold up the end of the process.
    """

    def __init__(self, at_once: int = _LOOKUPS_AT_ONCE) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()
        await self._slots.acquire()

        def finish(addresses: list[str], error: Exception | None) -> None:
            self._slots.release()  # only now: who gave up waiting has not ended the thread
            if found.done():
                return
            if error is None:
                found.set_result(addresses)
            else:
                found.set_exception(error)

        def look_up() -> None:
            addresses: list[str] = []
            failure: Exception | None = None
            try:
                rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
            except (OSError, UnicodeError) as error:
                failure = error if isinstance(error, OSError) else OSError(str(error))
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish, addresses, failure)

        threading.Thread(target=look_up, name="outbound-resolver", daemon=True).start()
        return await found


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. httpcore gives it a host, and does TLS with the host's name on what it gives back."""

    def __init__(self, rules: Rules, resolve: Resolver, network: httpcore.AsyncNetworkBackend) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if last == 0:
                    raise
        raise AssertionError("there is an address, or an error")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise _refused("must not be a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of the host, each of them checked: one that is forbidden forbids the host."""
        try:
            found = [ip_address(host)]
        except ValueError:
            try:
                found = [ip_address(text) for text in await self._resolve(host, port)]
            except (OSError, ValueError):
                found = []
        if not found:
            raise OutboundFailed("dns_failed", CODES["dns_failed"])
        for address in found:
            _check_address(address, self._rules)
        return found[:_ADDRESSES_TRIED]


# ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class GuardedTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=…)`: every request of the client, a followed redirect as well, passes the rules.

    Every failure is an OutboundFailed. `keep_alive` is how many idle connections are kept; each stays at its checked address.
    `resolve`, `tls` and `network` (which opens the sockets) are the system's unless a test brings its own.
    """

    def __init__(
        self,
        rules: Rules = Rules(),
        *,
        resolve: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        connections: int = 100,
        keep_alive: int = 0,
    ) -> None:
        self._rules = rules
        sockets = network or cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=connections,
            max_keepalive_connections=keep_alive,
            keepalive_expiry=5.0,
            network_backend=_CheckedNetwork(rules, resolve or SystemResolver(), sockets),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request. Raises OutboundFailed."""
        url = check_url(str(request.url), self._rules)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with _named_failures():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    target,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=cast("dict[str, Any]", response.extensions),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _named_failures():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


@contextlib.contextmanager
def _named_failures() -> Generator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise OutboundFailed("timeout", CODES["timeout"]) from error
    except httpcore.ConnectError as error:
        code = "tls_failed" if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)) else "connect_failed"
        raise OutboundFailed(code, CODES[code]) from error
    except ssl.SSLError as error:  # after the handshake: anyio passes it through, and httpcore does not know it
        raise OutboundFailed("tls_failed", CODES["tls_failed"]) from error
    except httpcore.NetworkError as error:
        raise OutboundFailed("connection_lost", CODES["connection_lost"]) from error
    except httpcore.ProtocolError as error:
        raise OutboundFailed("malformed_response", CODES["malformed_response"]) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    found = error.__cause__ or error.__context__
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


@dataclass(frozen=True, slots=True)
class Glimpse:
    """An answer: its status, its headers, and the first bytes of its body. `cut` where there was more, or it came too slowly."""

    status: int
    headers: httpx.Headers
    body: bytes
    cut: bool


class Outbound:
    """Posts to strangers and looks at the beginning of their answer: `async with Outbound(GuardedTransport(rules)) as out`."""

    def __init__(self, transport: GuardedTransport) -> None:
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),  # the whole has one bound
            # What one stranger sets would be shown on behalf of another who names the same host, and kept for ever.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"accept-encoding": "identity", "connection": "close"},
        )

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str], *, within_s: float, keep: int = 1024
    ) -> Glimpse:
        """Send `content`, and see what they say within `within_s` seconds. A redirect is an answer. Raises OutboundFailed.

        A body that is large or drips is left alone: the answer is known by its status, and the connection is closed.
        """
        try:
            async with (
                asyncio.timeout(within_s) as bound,
                self._client.stream("POST", url, content=content, headers=headers) as answer,
            ):
                bound.reschedule(asyncio.get_running_loop().time() + 2 * _GLIMPSE_S)  # it has answered in time
                body, cut = await _beginning(answer, keep)
                return Glimpse(answer.status_code, answer.headers, body, cut)
        except TimeoutError as error:
            raise OutboundFailed("timeout", CODES["timeout"]) from error

    async def __aenter__(self) -> "Outbound":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


async def _beginning(answer: httpx.Response, keep: int) -> tuple[bytes, bool]:
    body = bytearray()
    try:
        async with asyncio.timeout(_GLIMPSE_S):
            async for part in answer.aiter_raw():
                body += part
                if len(body) > keep:
                    return bytes(body[:keep]), True
    except (TimeoutError, OutboundFailed):
        return bytes(body), True  # the status has been said: what its words would have been changes nothing
    return bytes(body), False
