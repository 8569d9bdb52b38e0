"""The file of the channels: what is right is read, what is wrong is named and not shown."""

from pathlib import Path

import pytest

from shared.channels.config import ChannelConfig, ChannelConfigError, SandboxConfig, WebhookConfig, load

BAZAAR = """
[[channel]]
store = "str_demo"
name = "bazaar"
kind = "sandbox"
base_url = "http://127.0.0.1:8092/channels/bazaar/"
market = "GB"
country = "GB"
currency = "GBP"
key_env = "BAZAAR_KEY"
webhook_secret_env = "BAZAAR_WEBHOOK_SECRET"
"""


def read(directory: Path, text: str) -> tuple[ChannelConfig, ...]:
    path = directory / "channels.toml"
    path.write_text(text)
    return load(path)


def test_a_file_of_two_channels_is_read_in_its_order(tmp_path: Path) -> None:
    found = read(tmp_path, BAZAAR + BAZAAR.replace('"bazaar"', '"souk"') + "calls_per_s = 0.5\n")
    assert [channel.name for channel in found] == ["bazaar", "souk"]
    assert found[0].base_url == "http://127.0.0.1:8092/channels/bazaar"
    assert (found[0].calls_per_s, found[1].calls_per_s) == (10.0, 0.5)


def test_an_empty_file_connects_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        ('kind = "sandbox"', 'kind = "carrier pigeon"', "channel no. 1 kind"),
        ('kind = "sandbox"', "", "channel no. 1 kind"),
        ('kind = "sandbox"', 'kind = "ebay"', "channel no. 1 kind: must be one of sandbox, webhook, shopify"),
        ('kind = "sandbox"', 'kind = "webhook"', "channel no. 1 key_env: "),
        ('currency = "GBP"', 'currency = "pounds"', "channel no. 1 currency"),
        ('market = "GB"', "", "channel no. 1 market"),
        ('market = "GB"', 'market = "GB"\ncalls_per_s = 0', "channel no. 1 calls_per_s"),
        ('market = "GB"', 'market = "GB"\nobjective_s = nan', "channel no. 1 objective_s"),
        ("http://127.0.0.1:8092", "http://me:pass@127.0.0.1", "channel no. 1 base_url"),
        ('key_env = "BAZAAR_KEY"', 'key = "sk_live_abc"', "channel no. 1 key: "),
    ],
)
def test_what_is_wrong_is_named_by_file_channel_and_key(tmp_path: Path, line: str, instead: str, named: str) -> None:
    with pytest.raises(ChannelConfigError, match=r"channels\.toml: ") as refused:
        read(tmp_path, BAZAAR.replace(line, instead))
    assert named in str(refused.value)


def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ChannelConfigError) as refused:
        read(tmp_path, BAZAAR.replace('"BAZAAR_KEY"', '"sk_live_abc"'))
    assert "key_env" in str(refused.value)
    assert "sk_live_abc" not in str(refused.value)


def test_a_channel_stands_there_once(tmp_path: Path) -> None:
    with pytest.raises(ChannelConfigError, match="str_demo/bazaar: stands there twice"):
        read(tmp_path, BAZAAR + BAZAAR)


SHOP = BAZAAR.replace("sandbox", "webhook").replace('"bazaar"', '"shop"').replace('key_env = "BAZAAR_KEY"\n', "")


def test_each_kind_names_the_variables_of_its_own_credentials(tmp_path: Path) -> None:
    bazaar, shop = read(tmp_path, BAZAAR + SHOP)
    assert isinstance(shop, WebhookConfig)
    assert bazaar.variables == {"BAZAAR_KEY", "BAZAAR_WEBHOOK_SECRET"}
    assert shop.variables == {"BAZAAR_WEBHOOK_SECRET"}


def test_one_secret_stands_for_one_channel_where_a_notice_names_none(tmp_path: Path) -> None:
    with pytest.raises(ChannelConfigError, match="str_demo/souk webhook_secret_env: is another channel's, too"):
        read(tmp_path, SHOP + SHOP.replace('"shop"', '"souk"'))


def test_a_file_that_is_not_there_or_not_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(ChannelConfigError, match="cannot be read"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(ChannelConfigError, match="is not TOML"):
        read(tmp_path, "[[channel")


def test_a_credential_comes_from_the_environment_or_is_missed_by_name(tmp_path: Path) -> None:
    (bazaar,) = read(tmp_path, BAZAAR)
    assert isinstance(bazaar, SandboxConfig)
    assert bazaar.secret(bazaar.key_env, {"BAZAAR_KEY": "sk_1"}).get_secret_value() == "sk_1"
    with pytest.raises(ChannelConfigError, match="the variable BAZAAR_KEY is not set"):
        bazaar.secret(bazaar.key_env, {})
