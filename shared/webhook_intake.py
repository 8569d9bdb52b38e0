"""Webhooks that come in from outside, signed as Standard Webhooks: whose they are, before anybody reads what they say."""

from collections.abc import Iterable

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import Request

from shared.errors import Kind, Refusal, Refused

BODY_LIMIT = 64 * 1024
_LONGEST_ID = 200


def verified_id(request: Request, body: bytes, secrets: Iterable[str]) -> str:
    """The id of a webhook whose signature over the raw body is right and not older than five minutes. Raises Refused.

    Every secret in use is tried, so that one can be replaced without losing a webhook. Nothing is computed over what is too large.
    """
    if len(body) > BODY_LIMIT:
        detail = f"a webhook may have {BODY_LIMIT} bytes at most"
        raise Refused(Refusal(code="request.too_large", detail=detail, kind=Kind.TOO_LARGE))
    webhook_id = request.headers.get("webhook-id", "")
    well_formed = 0 < len(webhook_id) <= _LONGEST_ID and webhook_id.isascii() and webhook_id.isprintable()
    if well_formed and any(_signed_with(secret, body, request) for secret in secrets):
        return webhook_id
    raise Refused(
        Refusal(
            code="webhook.signature",
            detail="the signature is missing, wrong or too old",
            kind=Kind.UNAUTHENTICATED,
            clears_with="webhook-id, webhook-timestamp and webhook-signature of the Standard Webhooks specification",
        )
    )


def _signed_with(secret: str, body: bytes, request: Request) -> bool:
    try:
        Webhook(secret).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # the library lets a malformed header or body through as ValueError
        return False
    return True
