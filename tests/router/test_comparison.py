"""Canaries against what is live: intervals that hold however often one looks."""

import random

import pytest

from router.comparison import ALPHA, compare, confidence_sequence
from router.outcomes import Tally


def tally(replies, held, rated=0, good=0, conversations=None):
    return Tally(
        replies=replies,
        held=held,
        rated=rated,
        good=good,
        conversations=replies if conversations is None else conversations,
    )


def test_nothing_seen_is_nothing_known():
    assert confidence_sequence(0, 0, 0.05) == (0.0, 1.0)
    assert compare(tally(0, 0), tally(0, 0)).verdict == "go on"


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (5, 10), (500, 1000)])
def test_an_interval_holds_the_share_and_shrinks(successes, n):
    low, high = confidence_sequence(successes, n, 0.05)
    assert 0 <= low <= successes / n <= high <= 1
    wider = confidence_sequence(successes, n, 0.01)
    assert wider[0] <= low and wider[1] >= high
    more = confidence_sequence(successes * 10, n * 10, 0.05)
    assert more[1] - more[0] < high - low


def test_a_bad_canary_goes_back_and_a_good_one_forth():
    assert compare(tally(2000, 1980), tally(100, 70)).verdict == "return"
    assert "fell" in compare(tally(2000, 1980), tally(100, 70)).reason
    assert compare(tally(2000, 1000), tally(1000, 950)).verdict == "promote"
    assert compare(tally(100, 98), tally(20, 19)).verdict == "go on"


def test_ratings_count_where_anybody_rates():
    assert compare(tally(2000, 1980, 800, 700), tally(1000, 990, 400, 150)).verdict == "return"
    assert compare(tally(5000, 2500, 800, 400), tally(5000, 4900, 3, 3)).verdict == "go on"


def test_replies_of_few_conversations_weigh_less():
    assert compare(tally(2000, 1980), tally(60, 30)).verdict == "return"
    assert compare(tally(2000, 1980), tally(60, 30, conversations=3)).verdict == "go on"


@pytest.mark.slow
def test_an_equal_canary_is_hardly_ever_taken_back_however_often_one_looks():
    chance = random.Random(5)
    returned = 0
    for _ in range(300):
        live, canary, held = [0, 0], [0, 0], 0.9
        for _ in range(400):
            arm = canary if chance.random() < 0.2 else live
            arm[0] += 1
            arm[1] += chance.random() < held
            if compare(tally(*live), tally(*canary)).verdict == "return":
                returned += 1
                break
    assert returned / 300 <= ALPHA


def test_a_canary_that_breaks_a_third_is_found_soon():
    chance = random.Random(6)
    looks = []
    for _ in range(30):
        canary = [0, 0]
        while compare(tally(2000, 1900), tally(*canary)).verdict != "return":
            canary[0] += 1
            canary[1] += chance.random() < 0.6
        looks.append(canary[0])
    assert sorted(looks)[len(looks) // 2] < 60
