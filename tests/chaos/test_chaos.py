import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.fleet

HERE = Path(__file__).parent


@pytest.fixture
def chaos(monkeypatch):
    """The modules beside this one, which are found by their bare names only."""
    names = ("rows", "account", "events")
    monkeypatch.syspath_prepend(str(HERE))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        sys.modules.pop(name)


def seen(chaos, row, **changes):
    values = {"ok": True, "score": row.score / 100, "reply": f"This is about {row.mark}.", **changes}
    return chaos.account.Seen(**values)


@pytest.mark.parametrize("registry", ["none", "file"])
def test_every_row_is_judged_while_servers_are_killed_and_frozen_and_break_their_answers(registry):
    command = [sys.executable, str(HERE / "run.py"), "--seed", "7", "--registry", registry]
    command += ["--seconds", "22", "--clients", "4", "--rate", "80"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_the_same_seed_makes_the_same_things_happen(chaos):
    schedule = chaos.events.schedule
    assert schedule(7, 600, 4, moves=True) == schedule(7, 600, 4, moves=True)
    assert schedule(7, 600, 4, moves=True) != schedule(8, 600, 4, moves=True)


@pytest.mark.parametrize("seed", range(20))
def test_one_server_is_well_at_any_time_and_none_has_two_troubles_at_once(chaos, seed):
    events = chaos.events.schedule(seed, 600, 4, moves=True)
    assert {event.kind for event in events} == {"kill", "move", "freeze", "pause", "loading", "fault"}
    for event in events:
        others = [each for each in events if each is not event and each.at <= event.at < each.at + each.seconds]
        assert event.server not in {each.server for each in others}
        assert len({each.server for each in others}) < 3


def test_a_server_comes_back_on_another_port_only_where_clients_can_find_it(chaos):
    assert "move" not in {event.kind for event in chaos.events.schedule(7, 600, 4, moves=False)}


def test_a_call_of_which_all_is_well_counts_nothing_that_must_not_be(chaos):
    account, rows = chaos.account.Account(), chaos.rows.made(1, 1, 64)
    account.results("a call", 0.0, rows, [seen(chaos, row, attempts=1) for row in rows])
    account.call("a call", 0.0, 20.9, 20.0)
    assert not any(account.failures.values())
    assert (account.rows, account.judged, account.asked) == (64, 64, 64)


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("unscored", lambda chaos, rows, results: results[:-1]),
        ("unscored", lambda chaos, rows, results: [*results[:-1], seen(chaos, rows[-1], ok=False, reason="timeout")]),
        (
            "wrong",
            lambda chaos, rows, results: [
                *results[:-1],
                seen(chaos, rows[-1], score=(rows[-1].score + 50) % 101 / 100),
            ],
        ),
        ("duplicates", lambda chaos, rows, results: [*results, results[-1]]),
        ("duplicates", lambda chaos, rows, results: [*results[:-1], seen(chaos, rows[-1], reply=results[0].reply)]),
    ],
    ids=["missing", "fallback", "wrong score", "twice", "another row's reply"],
)
def test_what_must_not_be_is_counted_as_what_it_is(chaos, what, spoil):
    account, rows = chaos.account.Account(), chaos.rows.made(1, 1, 8)
    account.results("a call", 0.0, rows, spoil(chaos, rows, [seen(chaos, row) for row in rows]))
    total = chaos.account.Account()
    total.add(chaos.account.Account.from_dict(json.loads(json.dumps(account.to_dict()))))
    assert {name for name, count in total.failures.items() if count} == {what}
    assert len(total.incidents) == 1
    assert total.reasons == account.reasons


def test_a_call_that_outlasts_its_deadline_or_raises_is_counted(chaos):
    account, rows = chaos.account.Account(), chaos.rows.made(1, 1, 8)
    account.call("a call", 0.0, 21.1, 20.0)
    account.raised("a call", 0.0, rows, ValueError("no"))
    assert account.failures == {"unscored": 8, "wrong": 0, "duplicates": 0, "overruns": 1}


def test_scores_are_spread_and_those_of_siblings_differ(chaos):
    rows = chaos.rows.made(1, 1, 64)
    assert len({row.score for row in rows}) > 30
    assert len({row.problem for row in rows}) == 8
