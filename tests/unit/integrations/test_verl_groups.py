"""The mean of a group whose rows come one by one."""

import asyncio
import itertools

import pytest

from llm_judge_remote.integrations import verl_groups
from llm_judge_remote.integrations.verl_groups import Groups

FOREVER = 3600.0


def judged(score, outcome="judged"):
    return {"score": score, "acc": score, "judge_outcome": outcome, "judge_fallback": 0, "judge_fallback_by": ""}


def unjudged(score=0.1, by="lexical"):
    return {"score": score, "acc": score, "judge_outcome": "fallback", "judge_fallback": 1, "judge_fallback_by": by}


async def after(event, details):
    await event.wait()
    if isinstance(details, Exception):
        raise details
    return details


class Step:
    """Rows of one group that end when the test says so."""

    def __init__(self, groups, *details, uid="u"):
        self.events = [asyncio.Event() for _ in details]
        self.rows = [
            asyncio.create_task(groups.settle(uid, after(event, one)))
            for event, one in zip(self.events, details, strict=True)
        ]

    async def end(self, *numbers):
        for number in numbers:
            self.events[number].set()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_a_row_that_was_not_judged_takes_the_mean_of_all_its_siblings_in_whatever_order_they_end(order):
    step = Step(Groups(4, FOREVER, all_here=True), judged(0.2), unjudged(), judged(0.6, "gated"), unjudged(0.9))
    for number in order:
        await step.end(number)
    rows = await asyncio.gather(*step.rows)
    assert [row["score"] for row in rows] == pytest.approx([0.2, 0.4, 0.6, 0.4])
    assert [row["acc"] for row in rows] == [row["score"] for row in rows]
    assert [row["judge_fallback_by"] for row in rows] == ["", "group_mean", "", "group_mean"]
    assert {tuple(row) for row in rows} == {tuple(judged(0))}


async def test_it_waits_for_siblings_that_have_not_come_yet():
    groups = Groups(2, FOREVER, all_here=True)
    early = Step(groups, unjudged())
    await early.end(0)
    assert not early.rows[0].done()
    assert (await groups.settle("u", after_now(judged(0.8))))["score"] == 0.8
    assert (await early.rows[0])["score"] == 0.8


async def after_now(details):
    return details


async def test_it_waits_no_longer_than_it_may_and_takes_what_is_there():
    groups = Groups(3, 0.01, all_here=True)
    assert (await groups.settle("u", after_now(unjudged(0.1))))["judge_fallback_by"] == "lexical"
    await groups.settle("u", after_now(judged(0.5)))
    assert (await groups.settle("u", after_now(unjudged(0.1))))["score"] == 0.5


async def test_rows_that_go_elsewhere_are_not_waited_for():
    groups = Groups(8, FOREVER, all_here=False)
    assert (await groups.settle("u", after_now(unjudged(0.1))))["score"] == 0.1
    step = Step(groups, unjudged(), judged(0.7))
    await step.end(0)
    assert not step.rows[0].done()
    await step.end(1)
    assert (await step.rows[0])["score"] == 0.7


async def test_a_group_in_which_none_was_judged_keeps_its_own_scores():
    step = Step(Groups(2, FOREVER, all_here=True), unjudged(0.3), unjudged(0.9))
    await step.end(0, 1)
    assert [(await row)["score"] for row in step.rows] == [0.3, 0.9]


@pytest.mark.parametrize("details", [unjudged(0.2, "constant"), unjudged(0.2, ""), judged(0.0, "empty_candidate")])
async def test_rows_with_a_score_of_another_kind_keep_it_and_do_not_wait(details):
    groups = Groups(2, FOREVER, all_here=True)
    assert await groups.settle("u", after_now(details)) == details
    assert (await groups.settle("u", after_now(unjudged(0.1))))["score"] == 0.1


async def test_a_sibling_that_fails_or_is_given_up_is_not_waited_for():
    groups = Groups(4, FOREVER, all_here=True)
    step = Step(groups, unjudged(), ValueError("no"), judged(0.4), judged(0.0))
    await step.end(0, 1, 2)
    assert not step.rows[0].done()
    step.rows[3].cancel()
    assert (await step.rows[0])["score"] == 0.4
    with pytest.raises(ValueError, match="no"):
        await step.rows[1]


async def test_groups_are_kept_apart_and_forgotten_when_they_are_complete():
    groups = Groups(2, FOREVER, all_here=True)
    steps = [Step(groups, judged(n / 10), unjudged(), uid=f"u{n}") for n in range(5)]
    for step in steps:
        await step.end(0, 1)
    assert [(await step.rows[1])["score"] for step in steps] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert not groups._groups


async def test_the_same_uid_in_another_step_is_another_group():
    groups = Groups(2, FOREVER, all_here=False)
    for score in (0.2, 0.9):
        step = Step(groups, judged(score), unjudged())
        await step.end(0, 1)
        assert (await step.rows[1])["score"] == score


async def test_groups_that_never_become_complete_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(verl_groups, "_MOST_GROUPS", 10)
    groups = Groups(8, FOREVER, all_here=True)
    for number in range(50):
        await groups.settle(str(number), after_now(judged(0.5)))
    assert len(groups._groups) == 10
