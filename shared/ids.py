"""Identifiers: a UUIDv7 in Crockford base32 behind a prefix, one string everywhere.

`ord_01jc2v8k9q4t6x0m3n5p7r9s1v` is the same text in a URL, an event, a Kafka key, a database column and a log line.
Ids sort by creation time. Pure code never draws one: it derives the ids it needs from those it was given.
"""

import re
from hashlib import blake2b

from uuid_utils import uuid7

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]  # two characters at a time: half the steps
_SHIFTS = range(120, -1, -10)
_BODY = 26
_TIME = 10  # the first ten characters carry the 48 bits of milliseconds
_ID = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str) -> str:
    """A fresh id, for example `new_id("ord")`; prefixes are two to four letters."""
    return f"{prefix}_{_encode(uuid7().int)}"


def derive_id(prefix: str, parent: str, *parts: str) -> str:
    """The id that follows from `parent` and `parts`: the same arguments always give the same id.

    It keeps the parent's time where the parent is an id, so that it sorts beside it.
    """
    digest = blake2b("\x1f".join((prefix, parent, *parts)).encode(), digest_size=16).digest()
    body = _encode(int.from_bytes(digest))
    head = parent[-_BODY:][:_TIME] if _ID.fullmatch(parent) else body[:_TIME]
    return f"{prefix}_{head}{body[_TIME:]}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` is a well-formed id of that kind."""
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None


def _encode(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
