"""Each process is given what it needs and no secret of another."""

import json
from pathlib import Path

import pytest

from freeport.environment import sandbox_program, service_program
from freeport.layout import SANDBOXES, SERVICES, Home, Ports
from freeport.secrets import Secrets, api_keys, load, load_or_create


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def secrets(home: Home) -> Secrets:
    return load_or_create(home.secrets)


def holders_of(secret: str, home: Home, secrets: Secrets) -> set[str]:
    """Which programs find the secret in a variable of their own."""
    programs = [service_program(service, "all", home, Ports(), secrets) for service in SERVICES]
    programs += [sandbox_program(sandbox, home, Ports(), secrets) for sandbox in SANDBOXES]
    return {program.name for program in programs if any(secret in value for value in program.env.values())}


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("provider_key", {"payments", "provider"}),
        ("provider_webhook_secret", {"payments", "provider"}),
        ("carrier_key", {"logistics", "carrier"}),
        ("carrier_webhook_secret", {"logistics", "carrier"}),
        ("market_key", {"market"}),
        ("market_webhook_secret", {"market"}),
        ("internal_key", {"logistics"}),
        ("quote_private_key", {"logistics"}),
        ("quote_public_key", {"orders"}),
        ("pii_hash_key", {"orders"}),
        ("test_key", set[str]()),
        ("operator_key", set[str]()),
        ("postgres_password", set[str]()),
    ],
)
def test_a_secret_is_given_only_to_those_who_use_it(
    secret: str, holders: set[str], home: Home, secrets: Secrets
) -> None:
    assert holders_of(getattr(secrets, secret), home, secrets) == holders


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_holds_the_password_of_its_own_application_role_alone(
    service: str, home: Home, secrets: Secrets
) -> None:
    assert holders_of(secrets.app_passwords[service], home, secrets) == {service}
    assert holders_of(secrets.owner_passwords[service], home, secrets) == set()


def test_only_a_migration_is_given_the_owner_role(home: Home, secrets: Secrets) -> None:
    program = service_program("orders", "migrate", home, Ports(), secrets)
    assert secrets.owner_passwords["orders"] in program.env["FREEPORT_OWNER_DATABASE_URL"]


def test_the_channels_and_the_credentials_they_name_are_given_to_inventory_and_orders_alone(
    home: Home, secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "channels.toml"
    file.write_text("""
[[channel]]
store = "str_demo"
name = "bazaar"
kind = "sandbox"
base_url = "http://127.0.0.1:8092/channels/bazaar"
market = "GB"
country = "GB"
currency = "GBP"
key_env = "BAZAAR_KEY"
webhook_secret_env = "FREEPORT_MARKET_WEBHOOK_SECRET"
""")
    monkeypatch.setenv("FREEPORT_CHANNELS_FILE", str(file))
    monkeypatch.setenv("BAZAAR_KEY", "the-key-of-bazaar")
    assert holders_of("the-key-of-bazaar", home, secrets) == {"inventory", "orders"}
    assert holders_of(secrets.market_webhook_secret, home, secrets) == {"inventory", "orders", "market"}
    assert holders_of(secrets.market_key, home, secrets) == {"market"}
    assert holders_of(str(file), home, secrets) == {"inventory", "orders"}


def test_ports_follow_their_base(home: Home, secrets: Secrets) -> None:
    env = service_program("orders", "all", home, Ports(18000), secrets).env
    assert env["FREEPORT_PORT"] == "18003"
    assert env["FREEPORT_LOGISTICS_URL"] == "http://127.0.0.1:18004"
    assert env["FREEPORT_PROVIDER_URL"] == "http://127.0.0.1:18090"


def test_secrets_are_made_once_and_kept(home: Home, secrets: Secrets) -> None:
    kept = load_or_create(home.secrets)
    assert (kept.test_key, kept.quote_private_key) == (secrets.test_key, secrets.quote_private_key)
    assert load(home.secrets).postgres_password == secrets.postgres_password


def test_a_secret_that_an_older_release_did_not_make_is_added_to_those_that_are_kept(
    home: Home, secrets: Secrets
) -> None:
    older = json.loads(home.secrets.read_text())
    del older["operator_key"]
    home.secrets.write_text(json.dumps(older))
    assert load(home.secrets).operator_key == ""
    renewed = load_or_create(home.secrets)
    assert renewed.operator_key.startswith("sk_op_")
    assert (renewed.test_key, renewed.postgres_password) == (secrets.test_key, secrets.postgres_password)
    assert load(home.secrets).operator_key == load_or_create(home.secrets).operator_key == renewed.operator_key
    assert home.secrets.stat().st_mode & 0o077 == 0


def test_a_secret_never_shows_in_a_printed_object(secrets: Secrets) -> None:
    assert secrets.test_key not in repr(secrets)


def test_services_know_keys_by_their_hash_alone(secrets: Secrets) -> None:
    rows = api_keys(secrets)
    assert {(row.store_id, row.scopes) for row in rows} == {
        ("str_demo", ("*",)),
        ("str_other", ("*",)),
        ("str_internal", ("internal:recipients",)),
        ("str_operator", ("operations:*",)),
    }
    assert not any(secrets.test_key in (row.key_hash, row.prefix) for row in rows)


def test_the_environment_of_a_child_holds_nothing_that_was_not_meant_for_it(
    home: Home, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "hush")
    assert "SOMEBODYS_TOKEN" not in service_program("orders", "all", home, Ports(), secrets).env


def test_how_long_orders_wait_reaches_orders_and_nobody_else(
    home: Home, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEPORT_ORDERS_GIVE_UP_AFTER_S", "3")
    assert service_program("orders", "all", home, Ports(), secrets).env["FREEPORT_ORDERS_GIVE_UP_AFTER_S"] == "3"
    assert "FREEPORT_ORDERS_GIVE_UP_AFTER_S" not in service_program("risk", "all", home, Ports(), secrets).env
