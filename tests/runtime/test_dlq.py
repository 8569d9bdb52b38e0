"""`freeport dlq` as a person at the command line sees it, over services that answer from a script."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from freeport import cli, dlq
from freeport.api import Api
from freeport.errors import StartupError
from freeport.layout import Home
from freeport.platform import Platform
from freeport.secrets import load_or_create

LETTERS = "/internal/v1/dead-letters"
KEY = "sk_op_test"


def letter(letter_id: str, service: str, **changes: Any) -> dict[str, Any]:
    since = (datetime.now(UTC) - timedelta(hours=2, minutes=5)).isoformat()
    return {
        "id": letter_id,
        "service": service,
        "source": "event",
        "topic": "orders.order.v1",
        "key": "ord_01m86jdxevfw5ymkywvqkg0qcz",
        "sequence": 4,
        "event_type": "orders.order.confirmed.v1",
        "event_id": "evt_1",
        "error": "KeyError: 'lines[0]'",
        "attempts": 3,
        "first_failed_at": since,
        "failed_at": since,
        "state": "open",
        "reason": "",
        "settled_at": None,
        "decided": False,
        "copied": False,
        "waiting": {"count": 2, "first_sequence": 5, "last_sequence": 6},
        "headers": {"ce_id": "evt_1"},
        "payload": '{"order_id":"ord_1"}',
        "payload_bytes": 20,
    } | changes


class Services:
    """Two services with their letters; what was asked of them; one may be down."""

    def __init__(self) -> None:
        self.letters = {
            "orders": {"dlt_a": letter("dlt_a", "orders")},
            "risk": {
                "dlt_b": letter("dlt_b", "risk", waiting={"count": 0, "first_sequence": None, "last_sequence": None})
            },
        }
        self.actions: list[dict[str, Any]] = []
        self.down: set[str] = set()
        self.has_more = False
        self.asked: list[tuple[str, str, str, dict[str, Any]]] = []
        """Method, service, path, and the body or the query."""
        self.after_redrive: dict[str, Any] = {"state": "redriven", "decided": True}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        service, path = request.url.host, request.url.path
        body: dict[str, Any] = json.loads(request.content) if request.content else dict(request.url.params)
        assert request.headers["authorization"] == f"Bearer {KEY}"
        if service in self.down:
            raise httpx.ConnectError("refused")
        self.asked.append((request.method, service, path, body))
        mine = self.letters[service]
        if path == "/internal/v1/operator-actions":
            return self._page(self.actions)
        if path == f"{LETTERS}:redrive":
            return self._many(mine, body)
        if path == LETTERS:
            return self._page([one for one in mine.values() if one["state"] == request.url.params["state"]])
        letter_id, _, action = path.removeprefix(f"{LETTERS}/").partition("/")
        if letter_id not in mine:
            return problem(404, "dead_letter.not_found", f"there is no dead_letter {letter_id}")
        if action and mine[letter_id]["state"] != "open":
            return problem(409, "dead_letter.settled", f"the dead letter {letter_id} is parked already")
        if action == "redrive":
            mine[letter_id] |= self.after_redrive
        if action == "park":
            mine[letter_id] |= {"state": "parked", "reason": body["reason"]}
        return httpx.Response(200, json=mine[letter_id])

    def _page(self, data: list[dict[str, Any]]) -> httpx.Response:
        return httpx.Response(200, json={"data": data, "has_more": self.has_more, "next": None})

    def _many(self, mine: dict[str, dict[str, Any]], body: dict[str, Any]) -> httpx.Response:
        chosen = sorted(letter_id for letter_id, one in mine.items() if one["state"] == "open")
        for letter_id in chosen[:1]:
            mine[letter_id] |= self.after_redrive
        following = "more" if len(chosen) > 1 else None
        return httpx.Response(200, json={"redriven": chosen[:1], "refused": [], "next": following})


def problem(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": detail, "status": status})


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    scripted = Services()
    running = SimpleNamespace(
        addresses=lambda: {"services": {"orders": "http://orders", "risk": "http://risk"}},
        operator_key=KEY,
        home=Home(Path("/nowhere")),
    )

    @asynccontextmanager
    async def opened(urls: dict[str, str], key: str, *, patience: float) -> AsyncGenerator[Api]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(scripted)) as client:
            yield Api(urls, key, client, patience=0.05)

    monkeypatch.setattr(Platform, "load", lambda _: running)
    monkeypatch.setattr(dlq.Api, "opened", opened)
    monkeypatch.setattr(dlq.getpass, "getuser", lambda: "jo")
    return scripted


@pytest.fixture
def run(services: Services, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, standard output, standard error of `freeport dlq …`."""

    def go(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["dlq", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    # rich keeps the streams that it found at its birth.
    for module, name, stderr in ((dlq, "out", False), (dlq, "err", True), (cli, "out", False), (cli, "err", True)):
        monkeypatch.setattr(module, name, type(module.out)(stderr=stderr, width=120))
    monkeypatch.setattr(dlq, "_console", lambda: dlq.out)
    return go


def test_the_list_tells_where_since_when_why_and_how_much_waits(run: Run) -> None:
    code, told, _ = run("list")
    assert code == 0
    lines = told.splitlines()
    assert lines[0].split() == ["letter", "open", "for", "waiting", "message", "and", "reason"]
    assert lines[1].split() == [
        "dlt_a", "2", "h", "5", "m", "2", "orders:", "orders.order.v1", "ord_01m86jdxevfw5ymkywvqkg0qcz", "#4",
    ]  # fmt: skip
    assert lines[2].strip() == "KeyError: 'lines[0]'"
    assert "risk: orders.order.v1" in lines[3]
    assert lines[-1] == "freeport dlq show ID | redrive ID… | park ID --reason …"


def test_the_list_for_scripts_is_json_or_bare_ids(run: Run) -> None:
    told = json.loads(run("list", "--json")[1])
    assert ([one["id"] for one in told["letters"]], told["silent"]) == (["dlt_a", "dlt_b"], [])
    assert run("list", "-q", "--service", "risk")[1] == "dlt_b\n"


def test_that_a_service_has_more_is_said(run: Run, services: Services) -> None:
    services.has_more = True
    assert run("list")[2].startswith("There are more in orders, risk: --limit")
    assert json.loads(run("actions", "--json")[1])["more"] == ["orders", "risk"]


def test_the_actions_tell_who_did_what_when_and_why_with_whole_ids(run: Run, services: Services) -> None:
    services.actions = [
        {
            "id": f"opa_{second}",
            "at": f"2026-11-24T10:00:0{second}Z",
            "actor": "sk_op_test",
            "operator": "maria",
            "action": "dead_letter.park",
            "reason": "twice",
            "outcome": outcome,
            "subject": "dlt_01m86jdxevddm1wepbe335bmdr",
        }
        for second, outcome in enumerate(("done", "dead_letter.settled"))
    ]
    code, told, _ = run("actions", "--service", "risk")
    assert code == 0
    newest, *_ = [line for line in told.splitlines() if line.startswith("2026")]
    assert newest.startswith("2026-11-24 10:00:01Z  dlt_01m86jdxevddm1wepbe335bmdr  risk")
    assert "maria" in newest
    assert "park, refused" in newest
    assert "dead_letter.settled" in told


def test_the_list_passes_its_filters_on(run: Run, services: Services) -> None:
    code, told, _ = run("list", "--state", "parked", "--topic", "t", "--key", "k")
    assert (code, told) == (0, "No dead letter is parked here.\n")
    assert services.asked[0][3] == {"limit": "50", "state": "parked", "topic": "t", "key": "k"}


def test_a_service_that_is_down_is_named_and_the_others_are_shown(run: Run, services: Services) -> None:
    services.down = {"orders"}
    code, told, warned = run("list")
    assert (code, "dlt_b" in told) == (0, True)
    assert warned == "No answer from orders: what they have is not shown.\n"
    assert json.loads(run("list", "--json")[1])["silent"] == ["orders"]


def test_show_prints_the_letter_its_payload_what_was_done_and_the_choices(run: Run, services: Services) -> None:
    services.letters["orders"]["dlt_a"]["copied"] = True
    services.actions = [
        {
            "at": "2026-11-24T10:00:00Z",
            "actor": "sk_op_test",
            "operator": "maria",
            "action": "dead_letter.redrive",
            "reason": "mended",
            "outcome": "done",
            "subject": "dlt_a",
        }
    ]
    code, told, _ = run("show", "dlt_a")
    assert code == 0
    for line in (
        "message       orders.order.v1 ord_01m86jdxevfw5ymkywvqkg0qcz #4 (orders.order.confirmed.v1)",
        "reason        KeyError: 'lines[0]'",
        "copy          an event with its sequence came once more: a redrive decides that copy",
        "waiting       2 of its key wait behind it, #5 to #6",
        "done          2026-11-24 10:00:00Z maria: redrive (mended)",
        '  "order_id": "ord_1"',
        "when the cause is gone:   freeport dlq redrive dlt_a",
        'to go on without it:      freeport dlq park dlt_a --reason "…"',
    ):
        assert line in "\n".join(text.rstrip() for text in told.splitlines()), told


def test_a_redrive_tells_what_became_of_it(run: Run, services: Services) -> None:
    assert run("redrive", "dlt_a", "--reason", "mended") == (0, "✓ dlt_a orders: decided\n", "")
    assert services.asked[-2] == ("POST", "orders", f"{LETTERS}/dlt_a/redrive", {"operator": "jo", "reason": "mended"})


def test_a_redrive_that_fails_again_says_so(run: Run, services: Services) -> None:
    services.after_redrive = {"state": "open", "attempts": 6}
    code, told, _ = run("redrive", "dlt_a", "dlt_b", "--as", "maria")
    assert code == 1
    assert told.splitlines() == [
        "✗ dlt_a orders: failed again: KeyError: 'lines[0]' (6 tries)",
        "✗ dlt_b risk: failed again: KeyError: 'lines[0]' (6 tries)",
    ]
    assert services.asked[-2][3] == {"operator": "maria"}


def test_a_redrive_that_is_not_decided_in_time_says_so(run: Run, services: Services) -> None:
    services.after_redrive = {"state": "redriven", "decided": False}
    code, told, _ = run("redrive", "dlt_a", "--wait", "0", "--json")
    assert (code, json.loads(told)[0]["result"]) == (1, "pending")


def test_all_that_fit_are_redriven_batch_after_batch(run: Run, services: Services) -> None:
    services.letters["orders"]["dlt_c"] = letter("dlt_c", "orders")
    code, told, _ = run("redrive", "--all", "--topic", "orders.order.v1", "--error", "KeyError", "--since", "3d")
    assert code == 0
    assert told.splitlines() == ["✓ dlt_a orders: decided", "✓ dlt_c orders: decided", "✓ dlt_b risk: decided"]
    bodies = [body for _, _, path, body in services.asked if path == f"{LETTERS}:redrive"]
    assert [body["after"] for body in bodies] == [None, "more", None]
    assert {(body["topic"], body["error_contains"], body["operator"]) for body in bodies} == {
        ("orders.order.v1", "KeyError", "jo")
    }
    ago = datetime.now(UTC) - datetime.fromisoformat(bodies[0]["since"])
    assert timedelta(days=3) <= ago < timedelta(days=3, minutes=1)


def test_of_many_it_is_told_what_was_redriven_though_another_service_is_silent(run: Run, services: Services) -> None:
    services.down = {"risk"}
    code, told, _ = run("redrive", "--all", "--topic", "orders.order.v1")
    assert code == 1
    silent, done = told.splitlines()
    assert silent.startswith("✗ all risk: no answer")
    assert done == "✓ dlt_a orders: decided"


def test_a_parked_letter_lets_what_waited_go_on(run: Run, services: Services) -> None:
    code, told, _ = run("park", "dlt_a", "--reason", "sent twice")
    assert (code, told) == (0, "✓ dlt_a orders: parked: 2 that waited behind it go on\n")
    code, told, _ = run("park", "dlt_a", "--reason", "again")
    assert code == 1
    assert told == "✗ dlt_a orders: dead_letter.settled: the dead letter dlt_a is parked already\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "dlt_x"], "There is no dead letter dlt_x"),
        (["redrive", "dlt_x"], "There is no dead letter dlt_x"),
        (["redrive", "dlt_a", "dlt_x"], "There is no dead letter dlt_x"),
        (["park", "dlt_a", "dlt_x", "--reason", "twice"], "There is no dead letter dlt_x"),
        (["redrive"], "Which letters?"),
        (["redrive", "--all"], "Which letters?"),
        (["redrive", "dlt_a", "--all", "--topic", "t"], "Which letters?"),
        (["redrive", "--all", "--since", "yesterday"], "--since yesterday is no moment"),
        (["redrive", "--all", "--since", "2026-11-24T09:00:00"], "is no moment"),
        (["park", "dlt_a", "--reason", " "], "A reason is needed"),
        (["list", "--service", "orderz"], "There is no service orderz here"),
    ],
)
def test_what_cannot_be_done_is_said_with_why_and_how_to_fix_it(
    run: Run, services: Services, arguments: list[str], complaint: str
) -> None:
    code, told, complained = run(*arguments)
    assert (code, told) == (1, "")
    assert complaint in complained
    assert "  why: " in complained
    assert "  fix: " in complained
    assert all(method == "GET" for method, _, _, _ in services.asked)


def test_a_letter_that_a_silent_service_may_have_is_not_called_unknown(run: Run, services: Services) -> None:
    services.down = {"risk"}
    code, _, complained = run("show", "dlt_b")
    assert code == 1
    assert "risk gave no answer" in complained


def test_parking_without_a_reason_is_no_command(run: Run) -> None:
    code, _, complained = run("park", "dlt_a")
    assert code == 2
    assert "reason" in complained


def test_a_platform_that_does_not_run_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartupError, match="Freeport is not running"):
        Platform.load(tmp_path)
    assert cli.run(["dlq", "list", "--home", str(tmp_path)]) == 1


def test_a_platform_of_an_older_release_has_no_operators_key_yet(tmp_path: Path) -> None:
    from dataclasses import replace

    from freeport.layout import Ports

    secrets = replace(load_or_create(tmp_path / "secrets.json"), operator_key="")
    platform = Platform(Home(tmp_path), Ports(), secrets)
    with pytest.raises(StartupError, match="freeport up"):
        _ = platform.operator_key
