"""What the back-test of forecasts measures with, by numbers worked out by hand."""

import pytest

from scripts.backtest_forecast import SHORTEST, cap, known_history, mase, naive_error, wape


def test_wape_is_the_summed_error_over_the_summed_demand() -> None:
    assert wape([10, 0, 30], [8, 4, 30]) == pytest.approx(6 / 40)


def test_selling_nothing_by_forecast_is_wrong_by_all_of_the_demand() -> None:
    assert wape([3, 0, 9], [0, 0, 0]) == 1


def test_the_scale_of_mase_is_what_last_seasons_day_errs_by() -> None:
    assert naive_error([1, 5, 2, 8], season=2) == pytest.approx((1 + 3) / 2)


def test_a_forecast_that_errs_twice_as_much_as_the_naive_one_has_a_mase_of_two() -> None:
    history = [1.0, 0, 0, 0, 0, 0, 0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]  # every day 2 from its day a week before
    assert mase(history, [10, 10], [6, 14]) == pytest.approx(2)


def test_a_series_that_never_changes_has_no_mase() -> None:
    assert mase([4.0] * 14, [4], [5]) is None


def test_what_was_not_sold_before_the_first_sale_is_no_history() -> None:
    assert known_history([0.0] * 30 + [2.0] * 40) == [2.0] * 40


def test_a_product_of_yesterday_has_sold_nothing_in_the_weeks_before() -> None:
    assert known_history([0.0] * 60 + [7.0]) == [0.0] * (SHORTEST - 1) + [7.0]


def test_a_bulk_order_is_lowered_to_what_the_other_days_know() -> None:
    # Five selling days: the 95 % quantile lies at place 3.8, four fifths of the way from 5 to 105.
    assert cap([1, 0, 2, 3, 5, 105]) == pytest.approx([1, 0, 2, 3, 5, 85])


def test_four_selling_days_are_too_few_to_call_one_of_them_a_bulk_order() -> None:
    assert cap([1, 2, 3, 900]) == [1, 2, 3, 900]
