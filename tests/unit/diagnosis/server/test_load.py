"""How the load rises, when it ends, and where the knee is: with a server that is a formula, and no clock."""

import pytest

from llm_judge_remote.diagnosis.server.load import Load, LoadLevel, knee, rising_load
from llm_judge_remote.judgement import Judgement, Outcome


class FormulaServer:
    """Judges `slots` rows at once, each in `seconds`; the others wait."""

    def __init__(self, slots, seconds=1.0, fails_from=10_000):
        self.slots, self.seconds, self.fails_from = slots, seconds, fails_from
        self.now = 0.0
        self.asked = []

    def ask(self, rows, concurrency, deadline):
        self.asked.append((rows, concurrency))
        width = min(concurrency, self.slots)
        found = []
        for row in range(rows):
            sent = (row // concurrency) * self.seconds * concurrency / width
            ended = (row // width + 1) * self.seconds
            late = ended >= deadline
            failed = late or concurrency >= self.fails_from
            outcome = Outcome.FALLBACK if failed else Outcome.JUDGED
            reason = "too busy" if failed else ""
            took = deadline if late else ended
            found.append(Judgement(0.0, outcome, reason, latency_s=took, queued_s=min(sent, took), prompt_tokens=10))
        self.now += max((each.latency_s for each in found), default=0.0)
        return found

    def levels(self, **load):
        return list(rising_load(self.ask, Load(**load), lambda: self.now))


def level(concurrency, rate):
    return LoadLevel(concurrency, rows=1, failures=0, rate=rate, p50=1.0, p99=1.0)


def test_the_rate_doubles_with_the_concurrency_up_to_the_slots_and_the_knee_is_there():
    levels = FormulaServer(slots=8).levels(most=64, seconds=1000)
    assert [each.concurrency for each in levels] == [1, 2, 4, 8, 16, 32]
    assert [each.rate for each in levels] == pytest.approx([1, 2, 4, 8, 8, 8])
    assert knee(levels).concurrency == 8


def test_the_load_rises_no_more_after_two_levels_that_bring_no_more():
    server = FormulaServer(slots=1)
    assert [each.concurrency for each in server.levels(most=1024, seconds=10_000)] == [1, 2, 4]


def test_the_last_level_is_what_was_asked_for_even_if_no_power_of_two():
    assert [each.concurrency for each in FormulaServer(100).levels(most=6, seconds=1000)] == [1, 2, 4, 6]
    assert [each.concurrency for each in FormulaServer(100).levels(most=1, seconds=1000)] == [1]


def test_requests_and_time_are_bounded():
    quick = FormulaServer(slots=10_000, seconds=1e-6)
    quick.levels(most=128, seconds=1000)
    assert all(rows <= max(8 * concurrency, 64) for rows, concurrency in quick.asked)
    slow = FormulaServer(slots=4, seconds=3.0)
    slow.levels(most=128, seconds=20)
    assert slow.now <= 20


def test_rows_that_the_end_of_the_time_cuts_off_are_no_failures():
    levels = FormulaServer(slots=4, seconds=3.0).levels(most=128, seconds=20)
    assert levels
    assert sum(each.failures for each in levels) == 0


def test_there_is_no_level_where_no_row_comes_to_its_end():
    assert FormulaServer(slots=4, seconds=30.0).levels(most=8, seconds=20) == []


def test_a_level_at_which_most_rows_fail_is_the_last_and_says_why():
    levels = FormulaServer(slots=100, fails_from=4).levels(most=64, seconds=1000)
    assert [each.concurrency for each in levels] == [1, 2, 4]
    last = levels[-1]
    assert (last.rows, last.failures > 0, last.reason, last.rate) == (0, True, "too busy", 0.0)


def test_times_are_counted_from_the_sending_and_not_from_the_call():
    levels = FormulaServer(slots=100).levels(most=2, seconds=1000)
    assert [each.p99 for each in levels] == pytest.approx([1, 1])
    assert levels[0].rows > 1
    assert levels[0].prompt_tokens == 10 * levels[0].rows


def test_the_rate_is_that_of_the_time_in_which_all_places_were_taken():
    """One of the last rows takes ten times as long as all others, and is no reason to think the server slow."""

    def ask(rows, concurrency, deadline):
        took = [1.0] * (rows - 1) + [10.0]
        sent = [float(row // concurrency) for row in range(rows)]
        return [
            Judgement(1.0, Outcome.JUDGED, latency_s=start + each, queued_s=start)
            for start, each in zip(sent, took, strict=True)
        ]

    (first, second) = rising_load(ask, Load(most=2, seconds=1000), lambda: 0.0)
    assert (first.rate, second.rate) == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize(
    ("rates", "concurrency"),
    [
        ([10, 20, 40, 41, 41], 4),
        ([10, 10.9, 12, 12], 4),  # each little, and together more than 10 %: the first is no knee
        ([10, 20, 18, 30], None),  # a dip is no knee
        ([10, 20], None),
        ([10, 5], 1),
        ([10], None),
        ([], None),
    ],
)
def test_the_knee_is_the_first_level_above_which_none_brings_ten_per_cent_more(rates, concurrency):
    found = knee([level(2**index, rate) for index, rate in enumerate(rates)])
    assert (found.concurrency if found else None) == concurrency
