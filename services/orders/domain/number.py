"""The order number: what a buyer reads out on the telephone."""

from hashlib import blake2b

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O or U
_LENGTH = 12
_GROUP = 4
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})


def order_number(order_id: str) -> str:
    """The number of an order, such as `7KQ2-9XW4-MB3T`: sixty bits that follow from the id.

    It tells neither when nor how many orders came before, and two of a hundred million of one store meet once in two hundred
    such stores; the database would refuse the second.
    """
    digest = int.from_bytes(blake2b(order_id.encode(), digest_size=8, person=b"order-number").digest()) >> 4
    letters = "".join(_ALPHABET[(digest >> shift) & 31] for shift in range((_LENGTH - 1) * 5, -1, -5))
    return "-".join(letters[i : i + _GROUP] for i in range(0, _LENGTH, _GROUP))


def as_written(text: str) -> str:
    """The number that was meant by what somebody typed: case, dashes and the usual misreadings are forgiven."""
    letters = text.upper().translate(_MISREAD)
    return "-".join(letters[i : i + _GROUP] for i in range(0, len(letters), _GROUP))
