"""What a stranger's URL may reach, and what not (OWASP API7, server-side request forgery)."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from shared.outbound import GuardedTransport, Outbound, OutboundFailed, Rules, SystemResolver, check_url, why_forbidden
from tests.fixtures.receiver import LOOPBACK, Heard, certificates, plain, receiving, silence

PRODUCTION, LOCAL = Rules(), Rules(allow_local=True)
PUBLIC = "93.184.215.14"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Names:
    """A resolver that answers from a list, and with the last answer for ever after."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Wire(httpcore.AsyncMockBackend):
    """A network that leads nowhere: it notes who would have been connected to, and answers 200."""

    def __init__(self, *silent: str) -> None:
        super().__init__([OK])
        self.connected: list[tuple[str, int]] = []
        self.tls_names: list[str | None] = []
        self._silent = silent

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self._silent:
            raise httpcore.ConnectError("nobody there")
        wire = self

        class Stream(httpcore.AsyncMockStream):
            async def start_tls(
                self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
            ) -> httpcore.AsyncNetworkStream:
                wire.tls_names.append(server_hostname)
                return self

        return Stream([OK])


async def post(url: str, rules: Rules = PRODUCTION, *, within_s: float = 5, **transport: Any) -> Any:
    async with Outbound(GuardedTransport(rules, **transport)) as out:
        return await out.post(url, b"{}", {"content-type": "application/json"}, within_s=within_s)


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier_nat"),
        ("100.127.255.255", "carrier_nat"),
        ("169.254.169.254", "link_local"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.9", "documentation"),
        ("192.88.99.1", "6to4"),
        ("198.18.0.1", "benchmarking"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "v4_mapped"),
        ("::ffff:93.184.215.14", "v4_mapped"),
        ("::7f00:1", "v4_compatible"),
        ("64:ff9b::a9fe:a9fe", "nat64"),
        ("64:ff9b:1::a9fe:a9fe", "nat64"),
        ("2002:7f00:1::", "6to4"),
        ("2002:a9fe:a9fe::1", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "teredo"),
        ("2001:2::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("fc00::1", "unique_local"),
        ("fd12:3456::1", "unique_local"),
        ("fe80::1", "link_local"),
        ("fec0::1", "site_local"),
        ("ff02::1", "multicast"),
        ("100::1", "reserved"),
        ("4000::1", "reserved"),
        ("5f00::1", "reserved"),
    ],
)
def test_an_address_that_is_not_the_publics_is_forbidden_and_named(address: str, kind: str) -> None:
    assert why_forbidden(ip_address(address)) == kind
    assert (why_forbidden(ip_address(address), LOCAL) is None) == (kind == "loopback")


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_a_public_address_may_be_called(address: str) -> None:
    assert why_forbidden(ip_address(address)) is None


def test_nothing_is_let_pass_that_the_standard_library_knows_to_be_somebodys_own() -> None:
    places = [(f"{n}.0.0.1", f"{n:02x}00::1", f"20{n:02x}::1", f"2001:{n:02x}::1") for n in range(256)]
    for address in (ip_address(text) for place in places for text in place):
        if not address.is_global or address.is_multicast or address.is_reserved:
            assert why_forbidden(address) is not None, address


# ── URLs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "file:///etc/passwd",
        "ftp://hooks.example.com/",
        "gopher://hooks.example.com/",
        "hooks.example.com/x",
        "//hooks.example.com/x",
        "",
        "https://",
        "https:///path",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://:@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/#",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/ x",
        "https://hooks.example.com/\nHost: inside",
        "https://bücher.example/",
        "https://①②⑦.0.0.1/",
        "https://%31%32%37.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.0x1/",
        "https://0/",
        "https://[fe80::1%25eth0]/",
        "https://localhost/",
        "https://localhost./",
        "https://api.localhost/",
        "https://kafka/",
        "https://a..example.com/",
        f"https://hooks.example.com/{'x' * 2048}",
    ],
)
def test_a_url_that_is_odd_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(OutboundFailed) as refused:
        check_url(url)
    assert refused.value.code == "url_forbidden"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
    ],
)
def test_a_forbidden_address_in_a_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(OutboundFailed) as refused:
        check_url(url)
    assert refused.value.code == "address_forbidden"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a?b=c",
        "https://hooks.example.com:443/",
        "https://HOOKS.example.com",
        f"https://{PUBLIC}/",
    ],
)
def test_an_ordinary_url_is_taken(url: str) -> None:
    assert check_url(url).scheme == "https"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://localhost:9000/", "http://[::1]:9000/"])
def test_the_loopback_and_plain_http_are_for_those_who_allow_it(url: str) -> None:
    assert check_url(url, LOCAL).port == 9000
    with pytest.raises(OutboundFailed):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd", "http://2130706433/", "http://u@127.0.0.1/"],
)
def test_allowing_the_loopback_allows_nothing_else(url: str) -> None:
    with pytest.raises(OutboundFailed):
        check_url(url, LOCAL)


# ── Resolving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        ["2606:4700::1111", "64:ff9b::a9fe:a9fe"],
        [PUBLIC, "::ffff:127.0.0.1"],
        ["2002:7f00:1::"],
    ],
)
async def test_one_forbidden_address_among_good_ones_forbids_the_host(addresses: list[str]) -> None:
    wire = Wire()
    with pytest.raises(OutboundFailed) as refused:
        await post("https://hooks.example.com/", resolve=Names(addresses), network=wire)
    assert refused.value.code == "address_forbidden"
    assert wire.connected == []
    assert "10.0.0.1" not in str(refused.value)


async def test_a_name_that_changes_its_mind_after_the_check_is_asked_only_once() -> None:
    names, wire = Names([PUBLIC], ["127.0.0.1"]), Wire()
    answer = await post("https://hooks.example.com/x", resolve=names, network=wire)
    assert (answer.status, answer.body) == (200, b"ok")
    assert names.asked == ["hooks.example.com"]
    assert wire.connected == [(PUBLIC, 443)]  # an address: nobody below resolves again
    assert wire.tls_names == ["hooks.example.com"]
    with pytest.raises(OutboundFailed) as refused:  # the next call asks anew, and is refused
        await post("https://hooks.example.com/x", resolve=names, network=wire)
    assert refused.value.code == "address_forbidden"
    assert len(wire.connected) == 1


async def test_the_next_checked_address_is_tried_where_one_does_not_answer() -> None:
    wire = Wire("2606:4700::1111")
    answer = await post("https://hooks.example.com/", resolve=Names(["2606:4700::1111", PUBLIC]), network=wire)
    assert answer.status == 200
    assert wire.connected == [("2606:4700::1111", 443), (PUBLIC, 443)]
    silent = Wire("1.1.1.1", "1.1.1.2", "1.1.1.3")
    with pytest.raises(OutboundFailed) as failed:
        await post("https://hooks.example.com/", resolve=Names([f"1.1.1.{n}" for n in range(1, 9)]), network=silent)
    assert failed.value.code == "connect_failed"
    assert len(silent.connected) == 3


@pytest.mark.parametrize("nothing", [OSError("no such name"), []])
async def test_a_host_without_an_address_is_told_apart(nothing: Any) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        if isinstance(nothing, OSError):
            raise nothing
        return nothing

    with pytest.raises(OutboundFailed) as failed:
        await post("https://hooks.example.com/", resolve=resolve, network=Wire())
    assert failed.value.code == "dns_failed"


async def test_the_systems_resolver_does_not_hold_up_the_loop_and_its_threads_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, asking, most = threading.Event(), 0, 0
    guard = threading.Lock()

    def slow(host: str, port: int, **_: Any) -> Any:
        nonlocal asking, most
        with guard:
            asking += 1
            most = max(most, asking)
        release.wait(10)
        with guard:
            asking -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))] * 2

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolve = SystemResolver(at_once=3)
    waiting = [asyncio.create_task(resolve("slow.example.com", 443)) for _ in range(8)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(resolve("slow.example.com", 443), 0.05)  # who is bounded may leave
    release.set()
    assert await asyncio.gather(*waiting) == [[PUBLIC]] * 8
    assert most == 3


async def test_the_systems_resolver_finds_names_and_says_when_there_is_none() -> None:
    assert LOOPBACK in await SystemResolver()("localhost", 80)
    with pytest.raises(OSError, match="label"):
        await SystemResolver()("a" * 64 + ".invalid", 80)  # a label that no name can have


# ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_post_arrives_as_it_was_sent_under_the_hosts_own_name() -> None:
    async with receiving() as receiver:
        receiver.answers = [plain(202, b"thanks", x_seen="1")]
        answer = await post(f"http://hooks.example.com:{receiver.port}/in?a=b", LOCAL, resolve=Names([LOOPBACK]))
    assert (answer.status, answer.body, answer.cut, answer.headers["x-seen"]) == (202, b"thanks", False, "1")
    (heard,) = receiver.heard
    assert (heard.method, heard.path, heard.body) == ("POST", "/in?a=b", b"{}")
    assert heard.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert heard.headers["accept-encoding"] == "identity"


async def test_tls_asks_for_the_name_and_believes_only_a_certificate_of_it(tmp_path: Path) -> None:
    server, client = certificates(tmp_path, "hooks.example.com")
    async with receiving(server) as receiver:
        at = receiver.port
        names = Names([LOOPBACK])
        answer = await post(f"https://hooks.example.com:{at}/", LOCAL, resolve=names, tls=client)
        assert answer.status == 200
        assert receiver.names == ["hooks.example.com"]
        for url, tls in ((f"https://other.example.com:{at}/", client), (f"https://hooks.example.com:{at}/", None)):
            with pytest.raises(OutboundFailed) as failed:
                await post(url, LOCAL, resolve=names, tls=tls)
            assert failed.value.code == "tls_failed"
    assert len(receiver.heard) == 1


async def test_a_cookie_is_not_kept_for_there_is_one_client_for_all_who_name_a_host() -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(200, set_cookie="session=of-one-seller; Path=/")
        async with Outbound(GuardedTransport(LOCAL)) as out:
            for _ in range(2):
                await out.post(receiver.url, b"{}", {}, within_s=5)
    assert ["cookie" in heard.headers for heard in receiver.heard] == [False, False]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nab"])
async def test_what_breaks_tls_after_the_handshake_is_an_outcome_too(tmp_path: Path, said: bytes) -> None:
    async def spoil(_: Heard, writer: Any) -> None:
        writer.write(said)
        await writer.drain()
        under_tls = writer.transport._ssl_protocol._transport
        under_tls.write(b"\x17\x03\x03\x00\x20" + b"?" * 32)  # a record that nobody has encrypted
        await silence(_, writer)

    server, client = certificates(tmp_path, "hooks.example.com")
    async with receiving(server) as receiver:
        receiver.otherwise = spoil
        url = f"https://hooks.example.com:{receiver.port}/"
        transport: dict[str, Any] = {"resolve": Names([LOOPBACK]), "tls": client}
        if said:  # its status has been said
            answer = await post(url, LOCAL, **transport)
            assert (answer.status, answer.cut) == (200, True)
        else:
            with pytest.raises(OutboundFailed) as failed:
                await post(url, LOCAL, **transport)
            assert failed.value.code == "tls_failed"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    async with receiving() as inside, receiving() as receiver:
        receiver.otherwise = plain(status, location=f"{inside.url}/admin")
        answer = await post(receiver.url, LOCAL)
        assert (answer.status, inside.connections) == (status, 0)


async def test_a_client_that_follows_redirects_is_guarded_at_every_step() -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(302, location="http://169.254.169.254/latest/meta-data")
        transport = GuardedTransport(LOCAL)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True, trust_env=False) as client:
            with pytest.raises(OutboundFailed) as refused:
                await client.get(receiver.url)
    assert refused.value.code == "address_forbidden"


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await post(receiver.url, LOCAL)).status == 200
    assert (proxy.connections, receiver.connections) == (0, 1)


async def test_no_more_of_a_body_is_read_than_is_wanted() -> None:
    sent = 0

    async def flood(_: Heard, writer: Any) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n")
        while sent < 64 << 20:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with receiving() as receiver:
        receiver.otherwise = flood
        answer = await post(receiver.url, LOCAL)
    assert (answer.status, answer.body, answer.cut) == (200, b"x" * 1024, True)
    assert sent < 64 << 20  # it was hung up on


async def test_a_compressed_body_is_not_blown_up() -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(200, b"\x1f\x8b" + b"z" * 100, content_encoding="gzip")
        assert (await post(receiver.url, LOCAL)).body == b"\x1f\x8b" + b"z" * 100


async def test_a_body_that_drips_does_not_hold_up_the_answer() -> None:
    async def drip(_: Heard, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nab")
        await writer.drain()
        await asyncio.Event().wait()

    async with receiving() as receiver:
        receiver.otherwise = drip
        answer = await post(receiver.url, LOCAL, within_s=1)
    assert (answer.status, answer.body, answer.cut) == (200, b"ab", True)


async def test_silence_ends_with_the_time_that_is_given() -> None:
    async def slow_headers(_: Heard, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 X\r\n")
        while not writer.is_closing():
            writer.write(b"x-a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    for reply in (silence, slow_headers):
        async with receiving() as receiver:
            receiver.otherwise = reply
            began = time.monotonic()
            with pytest.raises(OutboundFailed) as failed:
                await post(receiver.url, LOCAL, within_s=0.3)
            assert failed.value.code == "timeout"
            assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"HTTP/1.1 200 X\r\nx: " + b"y" * 300_000 + b"\r\n\r\n", "malformed_response"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "malformed_response"),
        (b"", "malformed_response"),
    ],
)
async def test_what_is_no_answer_is_told_apart(reply: bytes, code: str) -> None:
    async with receiving() as receiver:
        receiver.otherwise = reply
        with pytest.raises(OutboundFailed) as failed:
            await post(receiver.url, LOCAL)
    assert failed.value.code == code


async def test_nobody_there_is_told_apart() -> None:
    async with receiving() as receiver:
        url = receiver.url
    with pytest.raises(OutboundFailed) as failed:
        await post(url, LOCAL)
    assert failed.value.code == "connect_failed"
