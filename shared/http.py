"""HTTP conventions, decided once: problem documents, keys with scopes, idempotency, lists, docs without the internet."""

import asyncio
import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, cast

import asyncpg
import orjson
import pycountry
import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import telemetry
from shared.auth import Keys, Principal
from shared.database import Database, NoConnection, is_transient
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal, Refused
from shared.ids import new_id
from shared.jsonable import dumps
from shared.messaging.combiner import Combiner, OutcomeUnknown, QueueFull
from shared.messaging.sources import MISMATCH, Answer, Pending
from shared.money import Money

_log = structlog.get_logger()
_STATIC = Path(__file__).parent / "static"
_MAX_BODY = 8 * 1024 * 1024
_MAX_BODIES = 128 * 1024 * 1024  # of all requests together
_OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics"})
_STATUS = {
    Kind.MALFORMED: 400,
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.BUSY: 503,
}
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Cannot be processed",
    500: "Our fault",
    503: "Not available now",
}


# ── Problems ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class FieldError(BaseModel):
    """One wrong field: an RFC 6901 pointer into the body, or the parameter's name."""

    pointer: str
    code: str
    message: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable and never translated; `clears_with` says what would make it work."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str = ""
    request_id: str = ""
    retryable: bool = False
    clears_with: str | None = None
    errors: list[FieldError] = []
    facts: dict[str, Any] = {}


_PROBLEM_CONTENT: dict[str, Any] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused; see `code`.", "content": _PROBLEM_CONTENT},
    "5XX": {"description": "Not now; see `retryable`.", "content": _PROBLEM_CONTENT},
}
"""For `responses=` of every route."""


def problem_body(
    refusal: Refusal, *, status: int, instance: str = "", request_id: str = "", errors: Sequence[FieldError] = ()
) -> bytes:
    """The problem document of a refusal."""
    body: dict[str, Any] = {
        "type": f"urn:freeport:problem:{refusal.code}",
        "title": _TITLES.get(status, "Refused"),
        "status": status,
        "code": refusal.code,
        "detail": refusal.detail,
        "instance": instance,
        "request_id": request_id,
        "retryable": status == 503,
    }
    if refusal.clears_with is not None:
        body["clears_with"] = refusal.clears_with
    if errors:
        body["errors"] = [error.model_dump() for error in errors]
    if refusal.facts:
        body["facts"] = refusal.facts
    return dumps(body)


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal; this is the only place that knows."""
    return _STATUS[refusal.kind]


def _problem(
    request: Request,
    refusal: Refusal,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
) -> Response:
    code = status or status_of(refusal)
    extra = dict(headers or {})
    if code == 503:
        extra.setdefault("Retry-After", "1")
    if code == 401:
        extra.setdefault("WWW-Authenticate", "Bearer")
    body = problem_body(refusal, status=code, instance=request.url.path, request_id=_request_id(request), errors=errors)
    return Response(body, code, extra, "application/problem+json")


def _request_id(request: Request) -> str:
    return request.scope.get("freeport.request_id", "")


async def _on_refused(request: Request, error: Exception) -> Response:
    return _problem(request, cast("Refused", error).refusal)


async def _on_invalid(request: Request, error: Exception) -> Response:
    error = cast("RequestValidationError", error)
    errors = [_field_error(found) for found in error.errors()]
    in_body = all(found["loc"][:1] == ("body",) for found in error.errors())
    refusal = Refusal(
        code="request.invalid", detail="; ".join(f"{e.pointer}: {e.message}" for e in errors[:5]), kind=Kind.INVALID
    )
    return _problem(request, refusal, status=422 if in_body else 400, errors=errors)


def _field_error(found: Mapping[str, Any]) -> FieldError:
    place, *path = (str(part) for part in found["loc"])
    pointer = (
        "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
        if place == "body"
        else ".".join(path) or place
    )
    return FieldError(pointer=pointer, code=found["type"], message=found["msg"])


async def _on_http(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    if isinstance(error.__cause__, Refused):  # raised while the body was being read
        return _problem(request, error.__cause__.refusal)
    codes = {400: "request.malformed", 404: "route.not_found", 405: "route.method_not_allowed"}
    refusal = Refusal(code=codes.get(error.status_code, f"http.{error.status_code}"), detail=str(error.detail))
    return _problem(request, refusal, status=error.status_code, headers=error.headers)


BUSY = Refusal(code="service.busy", detail="too much to do at once; nothing was done", kind=Kind.BUSY)
OUTCOME_UNKNOWN = Refusal(
    code="request.outcome_unknown",
    detail="not answered in time; it may or may not take effect",
    kind=Kind.BUSY,
    clears_with="the same request with the same Idempotency-Key",
)


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, QueueFull | NoConnection):
        _log.warning("request.busy", path=request.url.path, error=repr(error))
        return _problem(request, BUSY)
    if is_transient(error):
        _log.warning("request.unavailable", path=request.url.path, error=repr(error))
        refusal = Refusal(code="service.unavailable", detail="the database does not answer now", kind=Kind.BUSY)
        return _problem(request, refusal)
    if isinstance(error, OutcomeUnknown):
        return _problem(request, OUTCOME_UNKNOWN)
    _log.error("request.failed", path=request.url.path, error=repr(error), exc_info=error)
    return _problem(request, Refusal(code="internal", detail="this is our fault and was written down"), status=500)


# ── Callers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the idempotency of the call."""

    principal: Principal
    route: str
    path: str
    correlation_id: str
    traceparent: str = ""
    idempotency_key: str = ""
    fingerprint: bytes = b""

    @property
    def store_id(self) -> str:
        """The store that the key belongs to; everything read or written is this store's."""
        return self.principal.store_id

    @property
    def actor(self) -> str:
        """Who it was, for audits: the visible part of the key."""
        return self.principal.key_prefix

    @property
    def scopes(self) -> frozenset[str]:
        return self.principal.scopes

    def can(self, scope: str) -> bool:
        """Whether the caller also has another scope."""
        return self.principal.can(scope)


def requires(scope: str, *, idempotent: bool = False) -> Any:
    """The caller of a route: authenticated, with the scope; `idempotent` routes need an Idempotency-Key.

    Use as `caller: Annotated[Caller, requires("orders:write", idempotent=True)]`.
    """

    async def plain(request: Request, _: Credentials) -> Caller:
        return await _caller(request, scope)

    async def keyed(request: Request, _: Credentials, key: IdempotencyKey = None) -> Caller:
        caller = await _caller(request, scope)
        return replace(caller, idempotency_key=_checked(key), fingerprint=await _fingerprint(request))

    return Depends(keyed if idempotent else plain)


_bearer = HTTPBearer(auto_error=False, description="An API key of a store: `Authorization: Bearer sk_test_…`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Required. The same key with the same body is the same request, for 72 hours.",
    ),
]


async def _caller(request: Request, scope: str) -> Caller:
    principal = await _authenticate(request)
    if not principal.can(scope):
        raise Refused(
            Refusal(
                code="auth.scope",
                detail=f"this key may not do this; it lacks the scope {scope}",
                kind=Kind.FORBIDDEN,
                clears_with=f"a key with the scope {scope}",
            )
        )
    return Caller(
        principal=principal,
        route=f"{request.method} {request.scope['route'].path}",
        path=request.url.path,
        correlation_id=_request_id(request),
        traceparent=_traceparent(request),
    )


_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def _traceparent(request: Request) -> str:
    """The caller's W3C trace context, or the beginning of a new trace: it goes with every event that follows."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


async def _authenticate(request: Request) -> Principal:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    principal = await kit_of(request).keys.find(key) if key else None
    if principal is None:
        raise Refused(
            Refusal(
                code="auth.unknown_key" if key else "auth.missing",
                detail="this API key is not known or was revoked" if key else "this needs an API key",
                kind=Kind.UNAUTHENTICATED,
                clears_with="Authorization: Bearer sk_…",
            )
        )
    return principal


def _checked(key: str | None) -> str:
    if not key or len(key) > 255 or not key.isascii() or not key.isprintable():
        raise Refused(
            Refusal(
                code="idempotency.missing" if not key else "idempotency.malformed",
                detail="this request needs an Idempotency-Key of 1 to 255 printable ASCII characters",
                kind=Kind.MALFORMED,
                clears_with="the header Idempotency-Key with a value of your own, unique for this request",
            )
        )
    return key


async def _fingerprint(request: Request) -> bytes:
    body = await request.body()
    whole = b"\n".join((request.method.encode(), str(request.url.path).encode(), request.url.query.encode(), body))
    return hashlib.sha256(whole).digest()


def webhook_caller(source: str, webhook_id: str, raw_body: bytes) -> Caller:
    """The caller of a webhook whose signature was verified: a repeated id is answered, not done again."""
    return Caller(
        principal=Principal("", source, frozenset()),
        route=f"webhook {source}",
        path="",
        correlation_id=webhook_id,
        idempotency_key=webhook_id,
        fingerprint=hashlib.sha256(raw_body).digest(),
    )


# ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class CommandRunner:
    """From a route to the desk. Injected as `commands: Commands`."""

    def __init__(self, combiner: Combiner) -> None:
        self._combiner = combiner

    async def execute(self, caller: Caller, command: object, *, market: str = "") -> Response:
        """Decide the command with whatever else waits, and answer; a repeated idempotency key gets the stored answer."""
        return _response(await self._submit(caller, command, market, _renderer(caller)), caller)

    async def run(self, caller: Caller, command: object, *, market: str = "") -> Reply:
        """The same for routes that go on with the reply. Raises Refused."""
        answer = await self._submit(caller, command, market, _renderer(caller))
        _count(caller, answer)
        if answer.status >= 400:
            problem = orjson.loads(answer.body)
            raise StoredProblem(answer.status, problem)
        headers = dict(answer.headers) | ({"Idempotent-Replayed": "true"} if answer.replayed else {})
        return Reply(orjson.loads(answer.body) if answer.body else None, answer.status, headers)

    async def _submit(
        self, caller: Caller, command: object, market: str, render: Callable[[Decision], Answer]
    ) -> Answer:
        message_id = new_id("cmd")
        epoch = datetime.min.replace(tzinfo=UTC)  # the transaction's time takes its place
        moment = Moment(
            decided_at=epoch,
            occurred_at=epoch,
            message_id=message_id,
            store_id=caller.store_id,
            market=market,
            correlation_id=caller.correlation_id,
            traceparent=caller.traceparent,
            actor=caller.actor,
        )
        pending = Pending(
            command=command,
            moment=moment,
            render=render,
            future=asyncio.get_running_loop().create_future(),
            scope=f"{caller.store_id} {caller.route}",
            key=caller.idempotency_key,
            fingerprint=caller.fingerprint,
        )
        return await self._combiner.submit(pending)


class StoredProblem(Exception):
    """A command was refused; the problem document as it was stored."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("code"))
        self.status = status
        self.problem = problem


def _renderer(caller: Caller) -> Callable[[Decision], Answer]:
    def render(decision: Decision) -> Answer:
        if isinstance(decision, Refusal):
            body = problem_body(
                decision, status=status_of(decision), instance=caller.path, request_id=caller.correlation_id
            )
            return Answer(status_of(decision), {"content-type": "application/problem+json"}, body)
        reply = next((effect for effect in decision if isinstance(effect, Reply)), None)
        if reply is None:
            return Answer(204, {}, b"")
        return Answer(reply.status, {"content-type": "application/json", **reply.headers}, dumps(reply.body))

    return render


def _response(answer: Answer, caller: Caller) -> Response:
    _count(caller, answer)
    headers = dict(answer.headers)
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.body, answer.status, headers)


def _count(caller: Caller, answer: Answer) -> None:
    if caller.idempotency_key:
        mismatch = answer.status == 422 and MISMATCH.code.encode() in answer.body
        telemetry.IDEMPOTENCY.labels("mismatch" if mismatch else "replayed" if answer.replayed else "fresh").inc()


# ── Dependencies of routes ────────────────────────────────────────────────────────────────────────────────────────────


class Bell(Protocol):
    """Rings at every commit of this process."""

    def event(self) -> asyncio.Event:
        """An event of one's own that every commit sets."""
        ...


class Kit(Protocol):
    """What a running service offers to its routes: `request.app.state.kit`."""

    @property
    def settings(self) -> Any: ...
    @property
    def database(self) -> Database: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def commands(self) -> CommandRunner: ...
    @property
    def committed(self) -> Bell: ...
    @property
    def ready(self) -> bool: ...
    @property
    def kafka(self) -> Callable[[], str]: ...


def kit_of(request: Request) -> Kit:
    """The kit of the service that serves the request."""
    return request.app.state.kit


# Dependencies are coroutines even where they wait for nothing: FastAPI sends plain functions through a pool of threads.


async def _commands(request: Request) -> CommandRunner:
    return kit_of(request).commands


async def _database(request: Request) -> Database:
    return kit_of(request).database


Commands = Annotated[CommandRunner, Depends(_commands)]
Reads = Annotated[Database, Depends(_database)]


# ── Bodies and views ──────────────────────────────────────────────────────────────────────────────────────────────────


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


Text = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_without_nul)
]
"""One line of text, 1 to 200 characters. PostgreSQL cannot store NUL, so it is refused at the edge."""

LongText = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_without_nul)]
"""Free text, up to 20,000 characters."""

Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-/ ]{0,63}$")]
"""A stock-keeping unit, as the seller writes it."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999 in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""RFC 3339 with a zone; it comes as UTC."""


def in_real_currency(money: Money) -> Money:
    """For `AfterValidator`: money of a currency that ISO 4217 lists, for of another nobody knows the minor unit. Raises ValueError."""
    if cast("Any", pycountry.currencies).get(alpha_3=money.currency) is None or money.currency in _NO_MONEY:
        raise ValueError(f"{money.currency} is not a currency of ISO 4217")
    return money


_NO_MONEY = frozenset({"XXX", "XTS"})  # "no currency", and the code for tests


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


def examples(*found: dict[str, Any]) -> ConfigDict:
    """`model_config = examples({...})`: a body's examples in the API docs."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": list(found)})


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A part of a list. Pass `next` as `after` to get the following one."""

    data: list[T]
    has_more: bool
    next: str | None


Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
After = Annotated[str | None, Query(description="The `next` of the page before.", max_length=2000)]


def page(found: Sequence[T], limit: int, key: Callable[[T], Sequence[str]]) -> Page[T]:
    """A page out of `limit + 1` items that were read in the list's order; `key` names an item's place in that order."""
    kept = list(found[:limit])
    has_more = len(found) > limit
    return Page(data=kept, has_more=has_more, next=encode_cursor(key(kept[-1])) if has_more and kept else None)


def encode_cursor(place: Sequence[str]) -> str:
    """An opaque place in a list."""
    return base64.urlsafe_b64encode(orjson.dumps(list(place))).decode().rstrip("=")


def decode_cursor(cursor: str | None, parts: int) -> list[str] | None:
    """The place that a cursor names, None without one. Raises Refused `cursor.malformed`."""
    if cursor is None:
        return None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if (
            isinstance(place, list)
            and len(cast("list[Any]", place)) == parts
            and all(isinstance(p, str) and "\0" not in p for p in cast("list[Any]", place))
        ):
            return cast("list[str]", place)
    except ValueError:
        pass  # the refusal below tells
    raise Refused(_NO_CURSOR)


def cursor_moment(part: str) -> datetime:
    """The moment that a part of a cursor names, in UTC. Raises Refused `cursor.malformed`."""
    try:
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the refusal below tells
    raise Refused(_NO_CURSOR)


_NO_CURSOR = Refusal(code="cursor.malformed", detail="this is not a cursor of this list", kind=Kind.MALFORMED)


async def only_known_parameters(request: Request) -> None:
    """A dependency for lists: a misspelt filter must not silently list everything."""
    route = request.scope["route"]
    known = {param.alias for param in route.dependant.query_params} | {
        param.alias for dependency in route.dependant.dependencies for param in dependency.query_params
    }
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise Refused(
            Refusal(
                code="parameter.unknown",
                detail=f"unknown parameter {', '.join(unknown)}",
                kind=Kind.MALFORMED,
                clears_with=f"one of {', '.join(sorted(known))}",
            )
        )


# ── The application ───────────────────────────────────────────────────────────────────────────────────────────────────


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The schema, with the problem document that every refusal points to, and a sentence of each operation as its summary."""
        if self.openapi_schema is None:
            schema = super().openapi()
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problem.pop("$defs"), Problem=problem)
            for operations in schema["paths"].values():
                for operation in operations.values():
                    if "description" in operation:
                        operation["summary"] = _first_sentence(operation["description"])
        return super().openapi()


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0].rstrip(".").replace("\n", " ")


def create_app(service: str, routers: Sequence[APIRouter], kit: Kit, *, description: str = "") -> FastAPI:
    """A service's ASGI application: its routes, /healthz, /readyz, /metrics, /docs and /openapi.json."""
    app = _App(
        title=f"Freeport {service}",
        description=description,
        version="1",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.kit = kit
    for router in (*routers, _operations(service)):
        app.include_router(router)
    if (_STATIC / "swagger").is_dir():
        app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(StoredProblem, _on_stored)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for busy in (QueueFull, OutcomeUnknown, *_BUSY_ERRORS):
        app.add_exception_handler(busy, _on_error)
    app.add_exception_handler(Exception, _on_error)
    app.add_middleware(_Edge, capacity=kit.settings.request_capacity)
    return app


async def _on_stored(request: Request, error: Exception) -> Response:
    error = cast("StoredProblem", error)
    return Response(dumps(error.problem), error.status, media_type="application/problem+json")


def _operations(service: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return Response(b'{"status":"alive"}', media_type="application/json")

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:
        kit = kit_of(request)
        database = await _answers(kit.database)
        # Without Kafka requests are still served: what they publish waits in the outbox.
        body = {
            "status": "ready" if kit.ready and database else "starting" if database else "unavailable",
            "service": service,
            "database": "reachable" if database else "unreachable",
            "kafka": kit.kafka(),
        }
        return Response(dumps(body), 200 if kit.ready and database else 503, media_type="application/json")

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"Freeport {service}",
            swagger_js_url="static/swagger/swagger-ui-bundle.js",
            swagger_css_url="static/swagger/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters={"validatorUrl": None},  # else it asks a validator on the internet
        )

    _ = (healthz, readyz, metrics, docs)
    return router


async def _answers(database: Database) -> bool:
    try:
        return bool(await database.fetchval("SELECT true"))
    except Exception as error:
        if not is_transient(error):
            raise
        _log.warning("ready.no_database", error=repr(error))
        return False


class _Edge:
    """Pure ASGI: request ids, metrics by route template, and bounds: on a body, on all bodies, on requests. It copies nothing."""

    def __init__(self, app: ASGIApp, capacity: int) -> None:
        self._app = app
        self._capacity = capacity
        self._active = 0
        self._held = 0  # bytes of the bodies of active requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["freeport.request_id"] = new_id("req")
        status, begun = 500, False
        started = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        telemetry.HTTP_ACTIVE.inc()
        self._active += 1
        body = _Received()
        try:
            if self._active > self._capacity and scope["path"] not in _OPERATIONS:
                await _refuse(BUSY, scope, receive, answer)
            elif _announced_size(scope) > _MAX_BODY:
                await _refuse(_TOO_LARGE, scope, receive, answer)
            elif "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
                await _refuse(_NUL, scope, receive, answer)
            else:
                await self._app(scope, self._bounded(receive, body), answer)
        except asyncio.CancelledError:
            if not begun:  # the process stops, and the client is told rather than left to guess
                await _refuse(OUTCOME_UNKNOWN, scope, receive, answer)
            raise
        finally:
            self._active -= 1
            self._held -= body.size
            telemetry.HTTP_ACTIVE.dec()
            route = getattr(scope.get("route"), "path", "unmatched")
            telemetry.HTTP_SECONDS.labels(route, scope["method"], str(status)).observe(time.perf_counter() - started)

    def _bounded(self, receive: Receive, body: "_Received") -> Receive:
        async def bounded() -> Message:
            message = await receive()
            size = len(message.get("body", b""))
            body.size += size
            self._held += size
            if body.size > _MAX_BODY:
                raise Refused(_TOO_LARGE)
            if self._held > _MAX_BODIES:
                raise Refused(BUSY)
            return message

        return bounded


@dataclass(slots=True)
class _Received:
    """How much of a body has come."""

    size: int = 0


def _announced_size(scope: Scope) -> int:
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(announced) if announced.isdigit() else 0


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    status, request_id = status_of(refusal), scope["freeport.request_id"]
    body = problem_body(refusal, status=status, instance=scope["path"], request_id=request_id)
    headers = {"Retry-After": "1"} if status == 503 else None
    await Response(body, status, headers, media_type="application/problem+json")(scope, receive, send)


_TOO_LARGE = Refusal(code="request.too_large", detail=f"a body may have {_MAX_BODY} bytes at most", kind=Kind.TOO_LARGE)
# PostgreSQL's text cannot hold it, so no name, id or filter of ours has one; bodies are refused by their models.
_NUL = Refusal(code="request.nul", detail="a path or query has no NUL characters", kind=Kind.MALFORMED)
_BUSY_ERRORS: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    NoConnection,
    OSError,
    TimeoutError,
)
