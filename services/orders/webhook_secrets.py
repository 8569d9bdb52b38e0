"""The secrets that sign webhooks. They follow from one key of the service, the endpoint and a version: none is stored anywhere.

So a stolen database signs nothing, and a secret that was rotated away twice cannot be made to count again.
"""

import base64
import hashlib
import hmac

_PURPOSE = b"freeport webhook secrets v1"


def secret_of(key: bytes, endpoint_id: str, version: int) -> str:
    """`whsec_` and 32 bytes in base64, as Standard Webhooks writes them."""
    own_key = hmac.digest(key, _PURPOSE, hashlib.sha256)  # the key has other uses, and none tells of another
    secret = hmac.digest(own_key, f"{endpoint_id} {version}".encode(), hashlib.sha256)
    return f"whsec_{base64.b64encode(secret).decode()}"
