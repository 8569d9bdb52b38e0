"""Whose a webhook is: every secret in use is tried, and nothing that is not signed is read. Over HTTP: `test_webhook_intake.py`
of payments and logistics."""

import base64
from datetime import timedelta

import pytest
from starlette.requests import Request

from shared.errors import Refused
from shared.webhook_intake import BODY_LIMIT, verified_id
from tests.fixtures.signing import signed

NEW, OLD, OTHER = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"n", b"o", b"x"))
BODY = b'{"type":"charge.updated"}'


def a_request(headers: dict[str, str]) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/webhooks/x", "headers": raw})


def refusal_of(body: bytes, headers: dict[str, str], *secrets: str) -> str:
    with pytest.raises(Refused) as refused:
        verified_id(a_request(headers), body, secrets)
    return refused.value.refusal.code


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_while_a_secret_is_replaced_both_are_heard(secret: str) -> None:
    assert verified_id(a_request(signed(secret, BODY, "msg_1")), BODY, [NEW, OLD]) == "msg_1"


def test_without_a_secret_nobody_is_heard() -> None:
    assert refusal_of(BODY, signed(NEW, BODY)) == "webhook.signature"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(OTHER, BODY),
        signed(NEW, BODY + b" "),
        signed(NEW, BODY, age=timedelta(minutes=6)),
        signed(NEW, BODY) | {"webhook-id": "another"},
        signed(NEW, BODY, "m" * 201),
        signed(NEW, BODY) | {"webhook-id": "m\xe4g"},
        signed(NEW, BODY) | {"webhook-signature": "v1,no base64"},
    ],
    ids=["nothing", "another's", "another body", "old", "another id", "an endless id", "no text", "no signature"],
)
def test_what_is_not_signed_is_nobodys(headers: dict[str, str]) -> None:
    assert refusal_of(BODY, headers, NEW) == "webhook.signature"


def test_what_is_too_large_is_refused_though_it_is_signed() -> None:
    body = b"x" * (BODY_LIMIT + 1)
    assert refusal_of(body, signed(NEW, body), NEW) == "request.too_large"
    assert verified_id(a_request(signed(NEW, body[1:], "msg_1")), body[1:], [NEW]) == "msg_1"
