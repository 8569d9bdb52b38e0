from hypothesis import given
from hypothesis import strategies as st

from shared.ids import derive_id, is_id, new_id


def test_a_new_id_is_well_formed_and_of_its_kind() -> None:
    made = new_id("ord")
    assert is_id(made, "ord")
    assert not is_id(made, "pay")
    assert len(made) == len("ord_") + 26


def test_ids_sort_by_the_time_of_their_making() -> None:
    made = [new_id("ord") for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000


def test_a_derived_id_follows_from_its_parent_and_sorts_beside_it() -> None:
    parent = new_id("ord")
    made = derive_id("pay", parent, "1")
    assert made == derive_id("pay", parent, "1")
    assert made != derive_id("pay", parent, "2")
    assert made[4:14] == parent[4:14]


@given(st.text(max_size=40), st.lists(st.text(max_size=10), max_size=3))
def test_whatever_it_is_derived_from_it_is_well_formed(parent: str, parts: list[str]) -> None:
    assert is_id(derive_id("due", parent, *parts), "due")


@given(st.text(max_size=40))
def test_nothing_else_passes_for_an_id(text: str) -> None:
    assert not is_id(text, "ord") or text.startswith("ord_")
    assert not is_id("ord_" + "i" * 26, "ord")  # Crockford's alphabet has no i, l, o, u
