"""`llm-judge-remote status`: what is printed, for people and for programs, and how it ends."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from llm_judge_remote.cli import status_table
from llm_judge_remote.cli.main import app
from llm_judge_remote.client.breaker_folder import OpenBreaker
from llm_judge_remote.monitoring.figures import Figures
from llm_judge_remote.monitoring.look import Look
from llm_judge_remote.monitoring.status import status_of
from llm_judge_remote.testing import JudgeServer

DEAD = "http://127.0.0.1:9"


def command(*words):
    result = CliRunner().invoke(app, ["status", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def server():
    with JudgeServer() as running:
        yield running


def test_one_well_server_is_enough_for_0_and_none_is_1(server):
    some = command("--server-url", f"{server.url},{DEAD}", "--interval", "0.1")
    assert some.exit_code == 0
    assert "2 servers | 1 well | 1 down" in some.stdout
    assert "refused" in some.stdout
    none = command("--server-url", DEAD)
    assert none.exit_code == 1
    assert "1 server | 1 down" in none.stdout


def test_a_registry_that_lists_nobody_ends_with_1_and_says_so(tmp_path):
    result = command("--server-url", f"file://{tmp_path}/nobody")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["0 servers", f"file://{tmp_path}/nobody lists no server"]


def test_an_address_that_is_no_judge_s_is_told_to_be_one(server):
    result = command("--server-url", f"{server.url}/elsewhere", "--interval", "0.1")
    assert result.exit_code == 1
    assert "has no /health: is that a judge server's address?" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no address: give --server-url"),
        (("--server-url", "gopher://a"), "gopher"),
        (("--server-url", DEAD, "--set", "connect_timeot=1"), "connect_timeout"),
        (("--server-url", DEAD, "--interval", "0"), "--interval"),
        (("--server-url", DEAD, "--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_what_is_of_no_use_ends_with_2_and_a_reason(words, said):
    result = command(*words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_programs_get_one_document(server):
    result = command(
        "--json", "--server-url", f"{server.url},{DEAD}", "--interval", "0.1", "--set", "connect_timeout=2"
    )
    document = json.loads(result.stdout)
    assert [each["state"] for each in document["servers"]] == ["well", "down"]
    assert document["servers"][0]["running"] == 0
    assert document["troubles"] == []


def test_settings_may_come_from_a_file(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_CONFIG", "")  # --config puts its own there
    file = tmp_path / "judge.yaml"
    file.write_text(f"server_url: {server.url}\n")
    assert command("--config", file, "--interval", "0.1").exit_code == 0


def shown(*looks, width=80, for_long=False, open_breakers=()):
    statuses = [status_of(look, None, since=look.time - 3725, open_breakers=open_breakers) for look in looks]
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(status_table.rendered(statuses, ["etcd://a cannot be asked"], for_long=for_long))
    return capture.get().splitlines()


def test_the_table_fits_80_columns_with_a_long_name_and_large_numbers():
    figures = Figures(
        model="Qwen/Qwen3-235B-A22B-Instruct",
        running=1024,
        waiting=12345,
        kv_cache=1.0,
        prefix_queries=10,
        prefix_hits=10,
    )
    address = "http://judge-17.some-namespace.svc.cluster.local:8000"
    breakers = [OpenBreaker(address, "trainer-3", 4711 + number, 0.0, "it refused") for number in range(12)]
    lines = shown(Look(address, 1.0, "unwell", "it said 503", figures), for_long=True, open_breakers=breakers)
    assert max(map(len, lines)) <= 80
    text = "".join("".join(lines).split())
    for word in ("Qwen/Qwen3-235B", "1,024", "12,345", "100%", "1:02:05", "said503", "etcd://a", "open12", "of11more"):
        assert word in text


def test_what_is_not_known_is_a_dash_and_a_share_a_percentage():
    (_, _, row, *_) = shown(Look("http://a:1", 1.0, "well", "", Figures(running=3, kv_cache=0.156)))
    assert row.split() == ["a:1", "well", "3", "-", "16%", "-", "-", "-"]


def test_since_when_is_told_only_of_those_that_are_not_well_and_were_watched():
    well, down = Look("http://a:1", 1.0, "well", "", Figures()), Look("http://b:1", 1.0, "down", "gone", Figures())
    assert "1:02:05" not in " ".join(shown(well, down))
    assert " ".join(shown(well, down, for_long=True)).count("1:02:05") == 1


def test_a_watch_without_a_terminal_prints_one_look_after_the_other(server, monkeypatch):
    looks = []

    def until_the_third(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("llm_judge_remote.cli.status.time.sleep", until_the_third)
    result = command("--watch", "--server-url", server.url)
    assert result.exit_code == 0
    assert result.stdout.count("1 server | 1 well") == 3
    assert "\x1b" not in result.stdout


def test_the_breaker_s_column_is_there_when_one_is_open_and_the_address_is_always():
    look = Look("http://10.0.0.17:8000", 1.0, "well", "", Figures())
    assert "breaker" not in " ".join(shown(look))
    opened = [OpenBreaker(look.address, "h", 1, 0.0, "gone")]
    assert "breaker" in " ".join(shown(look, open_breakers=opened))
    assert "10.0.0.17" in " ".join(shown(look, width=50, open_breakers=opened))


def test_what_servers_and_others_say_moves_no_cursor_and_is_no_markup():
    look = Look("http://[fe80::1]:8000", 1.0, "down", "\x1b[2J\x07gone", Figures())
    opened = [OpenBreaker(look.address, "h", 1, 0.0, "[red]\x1b[31m\n")]
    text = "\n".join(shown(look, open_breakers=opened, width=120))
    assert not {"\x1b", "\x07"} & set(text)
    assert "[fe80::1]:8000" in text
    assert "[red]" in text
