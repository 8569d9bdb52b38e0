"""The quote token: what is signed comes back, and nothing else is believed."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.values import Destination, Incoterm, ServiceLevel
from shared.errors import Refusal
from shared.money import Money
from shared.quote import QuoteClaims, encode, lines_hash, private_key, public_keys, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KID = "quote-1"
KEYS = {KID: KEY.public_key()}
QUOTE = QuoteClaims(
    quote_id="quo_01jc2v8k9q4t6x0m3n5p7r9s1v",
    store="str_demo",
    market="JP",
    destination=Destination(country="JP", region="13", postal_area="100"),
    lines_hash=lines_hash([("MUG", 2)]),
    currency="JPY",
    shipping=Money(1_800, "JPY"),
    duties=Money(0, "JPY"),
    taxes=Money(350, "JPY"),
    fees=Money(200, "JPY"),
    incoterm=Incoterm.DDP,
    service=ServiceLevel.EXPRESS,
    expires_at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
)


def forged(*, key: Any = KEY, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    payload = jwt.decode(encode(QUOTE, KEY, KID), options={"verify_signature": False})
    payload.update(claims)
    payload = {name: value for name, value in payload.items() if value is not None}
    header = {"typ": "freeport-quote+jwt", "kid": KID, **(headers or {})}
    return jwt.encode(payload, key, algorithm=algorithm, headers=header)


def code_of(token: str) -> str:
    answer = verify(token, KEYS)
    assert isinstance(answer, Refusal)
    return answer.code


def test_a_signed_quote_comes_back_as_it_was() -> None:
    assert verify(encode(QUOTE, KEY, KID), KEYS) == QUOTE


def test_amounts_travel_as_text_because_javascript_rounds_large_numbers() -> None:
    claims = jwt.decode(encode(QUOTE, KEY, KID), options={"verify_signature": False})
    assert (claims["shipping"], claims["duties"]) == ("1800", "0")


def test_an_unsigned_token_is_refused() -> None:
    assert code_of(forged(key="", algorithm="none")) == "quote.algorithm"


def test_the_public_key_is_no_shared_secret() -> None:
    # The classic confusion: sign with HMAC, using the published key as the secret (RFC 8725 section 2.1).
    body = encode(QUOTE, KEY, KID).split(".")[1]
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "freeport-quote+jwt", "kid": KID}).encode())
    assert code_of(f"{header.decode().rstrip('=')}.{body}.c2lnbmF0dXJl") == "quote.algorithm"


def test_another_kind_of_token_is_no_quote() -> None:
    assert code_of(forged(headers={"typ": "JWT"})) == "quote.type"


def test_a_retired_key_signs_nothing() -> None:
    assert code_of(forged(headers={"kid": "0123456789abcdef"})) == "quote.unknown_key"


def test_another_key_under_our_key_id_is_refused() -> None:
    assert code_of(forged(key=Ed25519PrivateKey.from_private_bytes(bytes(32)))) == "quote.signature"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "somebody"}, "quote.issuer"),
        ({"aud": "freeport-payments"}, "quote.audience"),
        ({"aud": ["freeport-orders", "freeport-payments"]}, "quote.audience"),
        ({"exp": None}, "quote.claims"),
        ({"exp": "soon"}, "quote.claims"),
        ({"shipping": 1800}, "quote.claims"),
        ({"shipping": "-1"}, "quote.claims"),
        ({"shipping": "१"}, "quote.claims"),
        ({"duties": "9" * 40}, "quote.claims"),
        ({"incoterm": "EXW"}, "quote.claims"),
        ({"destination": "JP"}, "quote.claims"),
        ({"destination": {"country": "JP"}}, "quote.claims"),
        ({"market": None}, "quote.claims"),
    ],
)
def test_claims_that_no_quote_makes_are_refused(claims: dict[str, Any], code: str) -> None:
    assert code_of(forged(**claims)) == code


def test_a_critical_extension_that_we_do_not_know_is_refused() -> None:
    assert code_of(forged(headers={"crit": ["b64"], "b64": True})) == "quote.malformed"


@given(st.text(max_size=60))
def test_whatever_is_sent_as_a_quote_is_answered(token: str) -> None:
    assert isinstance(verify(token, KEYS), Refusal)


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=5))
def test_no_single_changed_character_is_believed(place: int, bit: int) -> None:
    token = encode(QUOTE, KEY, KID)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place %= len(token)
    if token[place] == ".":
        return
    changed = alphabet[alphabet.index(token[place]) ^ (1 << bit)]
    answer = verify(token[:place] + changed + token[place + 1 :], KEYS)
    assert isinstance(answer, Refusal)


def test_a_token_beyond_any_quote_is_not_even_read() -> None:
    assert code_of("e" * 5_000) == "quote.malformed"


def test_a_quote_is_in_one_currency_and_never_pays_the_buyer() -> None:
    with pytest.raises(ValueError, match="cannot charge"):
        encode(replace(QUOTE, fees=Money(1, "EUR")), KEY, KID)
    with pytest.raises(ValueError, match="cannot charge"):
        encode(replace(QUOTE, fees=Money(-1, "JPY")), KEY, KID)


def test_the_lines_hash_sees_demand_not_its_arrangement() -> None:
    assert lines_hash([("A", 1), ("B", 2)]) == lines_hash([("B", 1), ("A", 1), ("B", 1)])
    assert lines_hash([("A", 1)]) != lines_hash([("A", 2)])
    assert lines_hash([("A", 1), ("B", 1)]) != lines_hash([("AB", 1), ("B", 1)])


def test_keys_travel_as_settings_and_rotate_by_their_ids() -> None:
    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = public_keys({name: text(key.public_key().public_bytes_raw()) for name, key in (("old", old), ("new", new))})
    for name, key in (("old", old), ("new", new)):
        assert verify(encode(QUOTE, private_key(text(key.private_bytes_raw())), name), keys) == QUOTE
    assert isinstance(verify(encode(QUOTE, old, "new"), keys), Refusal)
    with pytest.raises(ValueError, match="32 bytes"):
        private_key("c2hvcnQ")
