"""What every channel may sell, and where goods lie."""

from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.channel import Channel, stock_by_channel
from services.inventory.domain.policy import Policy
from services.inventory.domain.shelves import Round
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from services.inventory.usecases.put_warehouse import PutWarehouse
from shared.contracts.inventory import ChannelStock, StockChanged
from shared.effects import Deadline, Due, Reply
from shared.errors import Refusal
from tests.builders.inventory import Play, a_channel_put, a_moment, a_receipt, placed, some_shelves


def states(effects: list[object]) -> list[StockChanged]:
    return [effect for effect in effects if isinstance(effect, StockChanged)]


def a_channel(name: str, buffer: int) -> Channel:
    return Channel(name=name, policy=Policy(buffer=buffer))


def channels_of(play: Play, message: object) -> dict[str, int]:
    (state,) = states([*play(message)])
    return {channel.channel: channel.available for channel in state.channels}


def test_a_channel_sees_what_is_available_less_its_buffer() -> None:
    channels = [Channel(name="storefront"), a_channel("bazaar", 3), a_channel("amazing", 99)]
    play = Play(some_shelves({"BER": {"MUG": 5}, "NJ": {"MUG": 1}}, channels=channels))
    assert channels_of(play, placed(1)) == {"amazing": 0, "bazaar": 2, "storefront": 5}


def test_a_sku_may_have_a_buffer_of_its_own() -> None:
    bazaar = Channel(name="bazaar", policy=Policy(buffer=3), policies={"MUG": Policy(buffer=1)})
    play = Play(some_shelves({"BER": {"MUG": 5, "CAP": 5}}, channels=[bazaar]))
    assert channels_of(play, placed(1, {"MUG": 1})) == {"bazaar": 3, "storefront": 4}
    assert channels_of(play, placed(2, {"CAP": 1})) == {"bazaar": 1, "storefront": 4}


def test_bonded_stock_is_offered_only_where_it_may_be_sold() -> None:
    channels = [Channel(name="storefront"), Channel(name="cn-mall", country="CN")]
    play = Play(some_shelves({"NGB": {"MUG": 5}, "BER": {"MUG": 1}}, channels=channels))
    assert channels_of(play, a_receipt(("MUG", 1))) == {"cn-mall": 7, "storefront": 2}


@given(on_hand=st.integers(0, 9), reserved=st.integers(0, 9), buffer=st.integers(0, 12))
def test_a_channel_never_sees_more_than_is_available(on_hand: int, reserved: int, buffer: int) -> None:
    shelves = some_shelves({"BER": {"MUG": on_hand + reserved}}, channels=[a_channel("bazaar", buffer)])
    item = shelves.items["MUG"]
    item.level("BER").move(on_hand=0, reserved=reserved)
    (share,) = stock_by_channel(item, shelves.channels["str_demo"].values(), shelves.warehouses)
    assert share == ChannelStock(channel="bazaar", available=max(0, on_hand - buffer))


def test_a_changed_buffer_is_told_for_every_sku() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5, "CAP": 5}}))
    effects = play(a_channel_put(Policy(buffer=2), buffers={"CAP": 4}))
    assert effects == [
        Deadline("stock.announce", "str_demo/", a_moment(1).decided_at),
        Reply(
            {
                "name": "bazaar",
                "buffer": 2,
                "country": "",
                "skus": {"CAP": 4},
                "cap": None,
                "allotment": 0,
                "closed": False,
                "units_per_s": 0.0,
            }
        ),
    ]
    play.shelves.rounds["str_demo/"] = Round(("CAP", "MUG"), more=False)
    told = states([*play(Due("stock.announce", "str_demo/"))])
    assert [(state.sku, state.channels[0].available) for state in told] == [("CAP", 1), ("MUG", 3)]


def test_announcing_goes_on_behind_the_last_sku() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5, "CAP": 5}}))
    play.shelves.rounds["str_demo/BAG"] = Round(("CAP",), more=True)
    assert play(Due("stock.announce", "str_demo/BAG"))[-1] == Deadline(
        "stock.announce", "str_demo/CAP", a_moment(1).decided_at
    )


def put(
    code: str = "HAM", *, kind: WarehouseKind = WarehouseKind.HOME, country: str = "DE", name: str = ""
) -> PutWarehouse:
    return PutWarehouse(code=code, kind=kind, country=country, name=name)


def test_a_warehouse_is_created_once_and_may_be_renamed() -> None:
    play = Play(some_shelves())
    assert [effect.status for effect in play(put()) if isinstance(effect, Reply)] == [201]
    assert [effect.status for effect in play(put(name="Hamburg")) if isinstance(effect, Reply)] == [200]
    assert play.shelves.put_warehouses["HAM"] == Warehouse(
        code="HAM", store_id="str_demo", kind=WarehouseKind.HOME, country="DE", name="Hamburg"
    )


def test_a_warehouse_put_again_unchanged_is_not_written() -> None:
    play = Play(
        some_shelves(warehouses=[Warehouse(code="HAM", store_id="str_demo", kind=WarehouseKind.HOME, country="DE")])
    )
    play(put())
    assert play.shelves.put_warehouses == {}


def test_a_warehouse_does_not_move_or_change_its_kind() -> None:
    play = Play(some_shelves())
    play(put())
    for other in (put(country="FR"), put(kind=WarehouseKind.BONDED)):
        refusal = play.decide(other)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "warehouse.fixed"
    assert play.shelves.warehouses["HAM"].country == "DE"
