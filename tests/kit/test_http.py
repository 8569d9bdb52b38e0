"""What every service's HTTP face does alike."""

import httpx
import pytest
import pytest_asyncio

from shared import auth
from shared.errors import Refused
from shared.http import cursor_moment, decode_cursor, encode_cursor, page
from tests.fixtures.bench import Bench, BenchFactory
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
ADDITION = {"name": "a", "units": 1}


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


async def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:freeport:problem:{problem['code']}"
    return answer.status_code, problem["code"]


async def test_who_has_no_key_is_told_what_is_missing(bench: Bench) -> None:
    async with bench.client_of(None) as client:
        answer = await client.post("/v1/additions", json=ADDITION)
    assert await refusal(answer) == (401, "auth.missing")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["clears_with"] == "Authorization: Bearer sk_…"


@pytest.mark.parametrize("header", ["Bearer sk_test_wrong", "Bearer ", "Basic sk_test_demo", "sk_test_demo"])
async def test_a_wrong_key_opens_nothing(bench: Bench, header: str) -> None:
    async with bench.client_of(None) as client:
        answer = await client.post("/v1/additions", json=ADDITION, headers={"authorization": header})
    assert answer.status_code == 401


async def test_a_key_without_the_scope_is_told_which_it_lacks(bench: Bench) -> None:
    async with bench.client_of("internal") as client:
        answer = await client.post("/v1/additions", json=ADDITION)
    assert await refusal(answer) == (403, "auth.scope")
    assert "till:write" in answer.json()["detail"]


async def test_a_write_without_an_idempotency_key_is_refused(bench: Bench) -> None:
    async with bench.client as client:
        client.event_hooks = {}
        answer = await client.post("/v1/additions", json=ADDITION)
    assert await refusal(answer) == (400, "idempotency.missing")


async def test_a_wrong_field_is_pointed_at(bench: Bench) -> None:
    async with bench.client as client:
        answer = await client.post("/v1/additions", json={"name": "", "units": "x", "extra/field": 1})
    assert await refusal(answer) == (422, "request.invalid")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/name", "/units", "/extra~1field"}


async def test_what_is_no_json_is_refused(bench: Bench) -> None:
    async with bench.client as client:
        answer = await client.post("/v1/additions", content=b"{", headers={"content-type": "application/json"})
    assert await refusal(answer) == (422, "request.invalid")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_the_bound_is_refused(bench: Bench, announced: bool) -> None:
    body = b'{"name": "' + b"a" * (9 * 1024 * 1024) + b'"}'

    async def drip():  # type: ignore[no-untyped-def]
        for start in range(0, len(body), 1024 * 1024):
            yield body[start : start + 1024 * 1024]

    async with bench.client as client:
        answer = await client.post(
            "/v1/additions", content=body if announced else drip(), headers={"content-type": "application/json"}
        )
    assert await refusal(answer) == (413, "request.too_large")


async def test_what_is_not_there_is_a_problem_too(bench: Bench) -> None:
    async with bench.client as client:
        assert await refusal(await client.get("/v1/nothing")) == (404, "route.not_found")
        assert await refusal(await client.get("/v1/additions")) == (405, "route.method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/nothing/a%00b", "/healthz?filter=%00", "/%00"])
async def test_a_nul_in_an_address_is_refused_before_a_database_stumbles_over_it(bench: Bench, path: str) -> None:
    async with bench.client as client:
        answer = await client.get(path)
    assert await refusal(answer) == (400, "request.nul")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_every_answer_names_its_request(bench: Bench) -> None:
    async with bench.client as client:
        answer = await client.post("/v1/additions", json={})
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_revoked_key_dies(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_CACHE_S", 0.0)
    async with bench.client as client:
        assert (await client.post("/v1/additions", json=ADDITION)).status_code == 201
        import asyncpg

        owner = await asyncpg.connect(bench.place.owner_url)
        await owner.execute("UPDATE api_key SET revoked_at = now() WHERE store_id = 'str_demo'")
        await owner.close()
        assert (await client.post("/v1/additions", json=ADDITION)).status_code == 401


async def test_the_application_cannot_make_itself_a_key(bench: Bench) -> None:
    import asyncpg

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.database.execute("UPDATE api_key SET scopes = '{*}'")


async def test_health_readiness_and_metrics_are_there(bench: Bench) -> None:
    async with bench.client_of(None) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {
            "status": "ready",
            "service": "till",
            "database": "reachable",
            "kafka": "unused",
        }
        metrics = (await client.get("/metrics")).text
    assert 'freeport_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"}' in metrics


async def test_the_docs_name_the_key_and_the_idempotency_header(bench: Bench) -> None:
    async with bench.client_of(None) as client:
        schema = (await client.get("/openapi.json")).json()
    operation = schema["paths"]["/v1/additions"]["post"]
    assert operation["operationId"] == "till.add"
    assert operation["security"] == [{"HTTPBearer": []}]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    assert operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


async def test_the_docs_page_loads_nothing_from_elsewhere(bench: Bench) -> None:
    async with bench.client_of(None) as client:
        html = (await client.get("/docs")).text
        assert "://" not in html.replace("http://www.w3.org", "")
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
            assert f"static/swagger/{asset}" in html
            assert (await client.get(f"/static/swagger/{asset}")).status_code == 200


def test_pages_follow_each_other_by_their_cursor() -> None:
    first = page(["a", "b", "c"], 2, lambda item: [item])
    assert (first.data, first.has_more) == (["a", "b"], True)
    assert decode_cursor(first.next, 1) == ["b"]
    last = page(["c"], 2, lambda item: [item])
    assert (last.has_more, last.next) == (False, None)


@pytest.mark.parametrize("cursor", ["", "x", "bm9wZQ", encode_cursor(["a", "b"]), "bnVsbA"])
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Refused) as raised:
        decode_cursor(cursor, 1)
    assert raised.value.refusal.code == "cursor.malformed"


async def test_a_trace_goes_from_the_request_to_its_events(bench: Bench) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with bench.client as client:
        await client.post("/v1/additions", json=ADDITION, headers={"traceparent": trace})
        await client.post("/v1/additions", json=ADDITION, headers={"traceparent": "forged\0"})
    rows = await bench.database.fetch("SELECT headers FROM outbox ORDER BY id")
    assert rows[0]["headers"]["traceparent"] == trace
    assert rows[1]["headers"]["traceparent"].startswith("00-")


@pytest.mark.parametrize(
    "part", ["", "x", "2026-11-24T00:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
)
def test_a_place_in_time_that_there_is_not_is_no_cursor(part: str) -> None:
    with pytest.raises(Refused) as refused:
        cursor_moment(part)
    assert refused.value.refusal.code == "cursor.malformed"
