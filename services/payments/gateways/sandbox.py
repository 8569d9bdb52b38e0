"""The payment provider over HTTP: a thin adapter that never guesses.

Every method answers in payments' own words (`usecases/hear_provider.py` says which), or None where the outcome is unknown: no
answer in time, a connection that was lost, a 5xx, an answer that is not the provider's. Nothing is retried here except a
connection that could not be opened, on which nothing was sent.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.payments.domain.charge import ChargeStatus, RefundStatus
from services.payments.settings import Settings
from shared.effects import Call
from shared.messaging.workers import Gateways

_log = structlog.get_logger()
_CONNECT_RETRIES = 2
# As many as the kit makes calls at once; those that are kept spare the next batch the opening.
_LIMITS = httpx.Limits(max_connections=150, max_keepalive_connections=64)
Amount = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
Short = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00]*$")]


class RefundAnswer(BaseModel):
    """A refund as the provider tells it."""

    key: Short
    amount: Amount
    status: RefundStatus
    failure_code: Short | None = None


class ChargeAnswer(BaseModel):
    """A charge as the provider tells it; what else it tells is not ours."""

    model_config = ConfigDict(extra="ignore")

    id: Short
    key: Short
    status: ChargeStatus
    amount: Amount
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    amount_captured: Amount
    fingerprint: Short = ""
    decline_code: Short | None = None
    action_url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    action_expires_at: datetime | None = None
    expires_at: datetime | None = None
    renewable: bool = False
    refunds: tuple[RefundAnswer, ...] = ()

    def in_our_words(self) -> dict[str, Any]:
        """What `Charge.of` reads."""
        return {
            "id": self.id,
            "key": self.key,
            "status": self.status.value,
            "amount": self.amount,
            "currency": self.currency,
            "captured": self.amount_captured,
            "fingerprint": self.fingerprint,
            "decline_code": self.decline_code or "",
            "action_url": self.action_url or "",
            "action_expires_at": _text(self.action_expires_at),
            "expires_at": _text(self.expires_at),
            "renewable": self.renewable,
            "refunds": [
                {"key": r.key, "amount": r.amount, "status": r.status.value, "failure_code": r.failure_code or ""}
                for r in self.refunds
            ],
        }


class NotOurKey(Exception):
    """The provider does not accept our key: no buyer's fault. The call waits and is tried again."""


class SandboxProvider:
    """The port that payments calls: authorise, look up, capture, void, refund."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def gateways(self) -> Gateways:
        """The methods by the kinds of call that they answer."""
        return {
            "provider.authorise": self.authorise,
            "provider.capture": self.capture,
            "provider.void": self.void,
            "provider.look_up": self.look_up,
            "provider.refund": self.refund,
            "provider.look_up_refund": self.look_up,
        }

    async def authorise(self, call: Call) -> dict[str, Any] | None:
        """A charge under the attempt's key; `{"declined": code}` where the provider refuses to make one."""
        asked = call.request
        body = {
            "amount": asked["amount"],
            "currency": asked["currency"],
            "token": asked["token"],
            "method": asked["method"],
            "capture": "automatic" if asked["automatic"] else "manual",
            "reference": asked["reference"],
        }
        answer = await self._post("/charges", asked["key"], body)
        if answer is None or answer.is_success:
            return _charge_in(answer)
        # A key that was used for another charge: not a no, but a charge that must be looked at.
        code = _code_in(answer)
        return None if code == "key_reused" else {"declined": code or "request_refused"}

    async def capture(self, call: Call) -> dict[str, Any] | None:
        """The charge after the capture; where that is refused, the charge as it stands."""
        path = f"/charges/{call.request['charge_id']}/capture"
        return _charge_in(await self._post(path, call.request["key"], {"amount": call.request["amount"]}))

    async def void(self, call: Call) -> dict[str, Any] | None:
        """The charge after the void; where that is refused, the charge as it stands."""
        return _charge_in(await self._post(f"/charges/{call.request['charge_id']}/void", call.request["key"], None))

    async def refund(self, call: Call) -> dict[str, Any] | None:
        """The charge with its refunds; `refused` where this one is not accepted."""
        path = f"/charges/{call.request['charge_id']}/refunds"
        answer = await self._post(path, call.request["key"], {"amount": call.request["amount"]})
        if answer is None or answer.is_success:
            return _charge_in(answer)
        return {"refused": _code_in(answer) or "request_refused", "charge": None}

    async def look_up(self, call: Call) -> dict[str, Any] | None:
        """The charge under a key, or `{"charge": None}`: the provider never saw it."""
        answer = await self._send("GET", "/charges", params={"key": call.request["key"]})
        if answer is None or not answer.is_success:
            return None
        try:
            found = answer.json()["data"]
            return {"charge": ChargeAnswer.model_validate(found[0]).in_our_words() if found else None}
        except (ValueError, LookupError, TypeError) as error:
            return _not_understood(answer, error)

    async def _post(self, path: str, key: str, body: dict[str, Any] | None) -> httpx.Response | None:
        return await self._send("POST", path, json=body, headers={"Idempotency-Key": key})

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        try:
            answer = await self._client.request(method, path, **request)
        except httpx.TransportError as error:
            _log.warning("provider.silent", path=path.split("/")[1], error=repr(error))
            return None
        if answer.status_code in (401, 403):
            raise NotOurKey(f"the provider answered {answer.status_code}")
        unknown = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        return None if unknown else answer


@asynccontextmanager
async def sandbox_provider(settings: Settings) -> AsyncGenerator[Gateways]:
    """The provider's gateways over one pool of connections."""
    async with httpx.AsyncClient(
        base_url=settings.provider_url,
        headers={"Authorization": f"Bearer {settings.provider_key.get_secret_value()}"},
        timeout=httpx.Timeout(settings.provider_timeout_seconds),
        transport=httpx.AsyncHTTPTransport(retries=_CONNECT_RETRIES, limits=_LIMITS),
        trust_env=False,
    ) as client:
        yield SandboxProvider(client).gateways()


def _charge_in(answer: httpx.Response | None) -> dict[str, Any] | None:
    """The charge in an answer, also in a refusal that carries it; None where there is none: then it is looked up."""
    if answer is None:
        return None
    try:
        body = answer.json()
        found = body if answer.is_success else body["charge"]
        return {"charge": ChargeAnswer.model_validate(found).in_our_words()} if found is not None else None
    except (ValueError, LookupError, TypeError) as error:
        return _not_understood(answer, error)


def _code_in(answer: httpx.Response) -> str:
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return ""
    return code if isinstance(code, str) and code.isascii() and code.isprintable() and len(code) <= 80 else ""


def _not_understood(answer: httpx.Response, error: Exception) -> None:
    fields = (
        [".".join(map(str, found["loc"])) for found in error.errors()] if isinstance(error, ValidationError) else []
    )
    _log.error("provider.not_understood", status=answer.status_code, fields=fields, error=type(error).__name__)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
