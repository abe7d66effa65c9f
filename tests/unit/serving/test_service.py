import os
import shlex
import signal
import threading
import time
from pathlib import Path

import pytest
from service_runs import Run, running

from llm_judge_remote import ConfigError, Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.servers.registry import lookup
from llm_judge_remote.serving import announcing, service
from llm_judge_remote.serving.guard import group_members
from llm_judge_remote.serving.launch import EngineError
from llm_judge_remote.serving.spec import ServerSpec

SAMPLES = [Sample("it is four", ("4",), f"What is 2 + 2? ({number})") for number in range(4)]


def wait_until_at_work(judge):
    until = time.monotonic() + 30
    while not judge.stats().in_flight:
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.3)  # sent, and not only let in


def listeners(port, word=b"llm_judge_remote.testing"):
    """Processes of this machine whose command line names the port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if str(port).encode() in words and word in words:
            found.append(int(process.name))
    return found


def engine_of(port):
    """The engine itself, not its guard, whose command line holds the engine's."""
    return max(listeners(port))


def test_it_is_ready_when_it_has_judged_a_sample_and_is_gone_when_it_is_stopped(tmp_path):
    registry = f"file://{tmp_path}/judges"
    with running("--reply", "REWARD: 0.75", registry=registry) as run:
        run.wait_until_said("registered as")
        assert any("a right answer got 0.75" in line for line in run.said)
        assert f"export LLM_JUDGE_SERVER_URL={registry}" in run.said
        assert list(lookup(registry)) == [run.url]
        with Judge(JudgeSettings(server_url=registry)) as judge:
            assert [each.score for each in judge.score(SAMPLES)] == [0.75] * 4
        pids = listeners(run.service.spec.port)
        assert len(pids) == 2  # the engine and its guard
        run.end()
        assert run.error is None
        assert not list(lookup(registry))
        assert listeners(run.service.spec.port) == []
        assert run.said[-1] == "stopped"


def test_what_the_engine_prints_is_shown(tmp_path):
    with running("--reply", "REWARD: 1") as run:
        run.wait_until_said("ready")
        run.end()
    assert any(str(run.service.spec.port) in line for line in run.shown)


def test_an_engine_that_dies_while_loading_is_an_error_with_its_last_lines():
    program = ["-c", "print('the weights are broken'); raise SystemExit(3)"]
    with running(program=program) as run:
        run.thread.join(60)
    assert isinstance(run.error, EngineError)
    assert "ended while it was starting" in str(run.error)
    assert "the weights are broken" in str(run.error)


def test_a_server_that_is_well_and_does_not_judge_is_an_error_that_says_why():
    with running("--model", "another/model") as run:
        run.thread.join(60)
    assert isinstance(run.error, EngineError)
    assert "does not judge" in str(run.error)
    assert "another/model" in str(run.error)
    assert listeners(run.service.spec.port) == []


def test_a_key_is_asked_for_and_the_first_sample_brings_it(monkeypatch):
    monkeypatch.setenv("KEY_OF_MINE", "secret")
    with running("--reply", "REWARD: 1", "--api-key", "secret", api_key_env="KEY_OF_MINE") as run:
        run.wait_until_said("ready")
        run.end()
    assert run.error is None
    assert not any("secret" in line for line in run.said)


def test_an_engine_that_prints_its_key_is_not_repeated(monkeypatch):
    monkeypatch.setenv("KEY_OF_MINE", "secret")
    program = ["-c", "print('api_key=secret', flush=True); raise SystemExit(3)"]
    with running(program=program, api_key_env="KEY_OF_MINE") as run:
        run.thread.join(60)
    assert run.shown == ["api_key=***"]
    assert "api_key=***" in str(run.error)
    assert "secret" not in str(run.error)


def test_an_engine_that_crashes_is_started_again_and_registered_again(tmp_path):
    registry = f"file://{tmp_path}/judges"
    with running("--reply", "REWARD: 0.5", registry=registry, restarts=1) as run:
        run.wait_until_said("registered as")
        os.kill(engine_of(run.service.spec.port), signal.SIGKILL)
        run.wait_until_said("starting it again")
        assert not list(lookup(registry))
        run.wait_until_said("registered as", count=2)
        assert list(lookup(registry)) == [run.url]
        os.kill(engine_of(run.service.spec.port), signal.SIGKILL)
        run.thread.join(60)
        assert "ended by itself" in str(run.error)  # two in a row are one too many
        assert not list(lookup(registry))


def test_a_registry_that_is_not_there_is_tried_again_and_the_server_stays_up(tmp_path):
    blocker = tmp_path / "share"
    blocker.write_text("not mounted yet")
    registry = f"file://{blocker}/judges"
    with running("--reply", "REWARD: 0.5", registry=registry) as run:
        run.wait_until_said("not registered yet, the server stays up")
        with Judge(JudgeSettings(server_url=run.url)) as judge:
            assert judge.score(SAMPLES[:1])[0].score == 0.5
        blocker.unlink()
        run.wait_until_said("registered as")
        assert list(lookup(registry)) == [run.url]
        run.end()


def test_stopped_while_it_starts_it_leaves_nothing_behind():
    program = ["-c", "import time; time.sleep(600)"]
    with running(program=program) as run:
        run.wait_until_said("starting")
        until = time.monotonic() + 30
        while len(listeners(run.service.spec.port, b"-c")) < 2:  # the engine and its guard
            assert time.monotonic() < until
            time.sleep(0.02)
        run.end()
    assert run.error is None
    assert listeners(run.service.spec.port, b"-c") == []


def test_two_signals_at_once_are_one(tmp_path):
    with running("--reply", "REWARD: 0.5", "--service-time", "1") as run:
        run.wait_until_said("ready")
        with Judge(JudgeSettings(server_url=run.url, max_retries=0, hedging="off")) as judge:
            found = []
            client = threading.Thread(target=lambda: found.extend(judge.score(SAMPLES)))
            client.start()
            wait_until_at_work(judge)
            run.service.stop()
            run.end()
            client.join(30)
    assert [each.outcome for each in found] == [Outcome.JUDGED] * 4


def test_what_is_under_way_ends_before_the_server_does():
    with running("--reply", "REWARD: 0.5", "--service-time", "2") as run:
        run.wait_until_said("ready")
        with Judge(JudgeSettings(server_url=run.url, max_retries=0, hedging="off", batch_endpoint="off")) as judge:
            found = []
            client = threading.Thread(target=lambda: found.extend(judge.score(SAMPLES)))
            client.start()
            wait_until_at_work(judge)
            run.end()
            client.join(30)
    assert [each.outcome for each in found] == [Outcome.JUDGED] * 4
    assert "nothing is under way any more" in run.said


def test_stopped_while_its_first_sample_hangs_it_ends():
    with running("--reply", "REWARD: 0.5", "--fault", "hang") as run:
        run.wait_until_said("judging a first sample")
        run.end()
    assert run.error is None


def test_stopped_twice_it_does_not_wait_for_what_is_under_way(monkeypatch):
    monkeypatch.setattr(service, "_AT_ONCE_S", 0.0)
    with running("--reply", "REWARD: 0.5", "--fault", "hang:match=slow", drain_timeout=600) as run:
        run.wait_until_said("ready")
        with Judge(JudgeSettings(server_url=run.url, timeout=30)) as judge:
            client = threading.Thread(target=judge.score, args=([Sample("slow", ("4",))],))
            client.start()
            wait_until_at_work(judge)
            run.service.stop()
            run.wait_until_said("stopping")
            run.end()
            assert any("cut off" in line for line in run.said)
            judge.close()
            client.join(60)


def test_its_groups_hold_nothing_after_any_end():
    with running("--reply", "REWARD: 0.5") as run:
        run.wait_until_said("ready")
        group = os.getpgid(engine_of(run.service.spec.port))
        run.end()
    assert group_members(group) == []


def test_settings_that_nobody_could_run_with_are_said_before_anything_is_started():
    with pytest.raises(ConfigError, match="experiment_name"):
        Run(experiment_name="math")


def test_a_slow_start_that_fails_counts_as_a_crash_like_any_other(monkeypatch):
    monkeypatch.setattr(service, "_SOUND_S", 0.0)  # however long it took to load
    program = ["-c", "import time; time.sleep(0.5); raise SystemExit(3)"]
    with running(program=program, restarts=1) as run:
        run.thread.join(60)
    assert isinstance(run.error, EngineError)
    assert sum("starting it again" in line for line in run.said) == 1


def test_a_second_server_at_the_same_port_is_refused_while_the_first_one_starts():
    with running("--reply", "REWARD: 0.5") as run:
        run.wait_until_said("starting")
        with running("--reply", "REWARD: 0.5", port=run.service.spec.port) as other:
            other.thread.join(30)
        assert isinstance(other.error, ConfigError)
        assert "another server is being started there" in str(other.error)
        run.wait_until_said("ready")


def test_an_engine_that_dies_of_its_first_sample_is_shown_with_its_last_lines():
    program = ["-c", DIES_FIRST]
    with running(program=program) as run:
        run.thread.join(60)
    assert "ended while it judged its first sample" in str(run.error)
    assert "CUDA out of memory" in str(run.error)


def test_an_engine_that_is_ended_together_with_the_service_is_no_failure():
    with running("--reply", "REWARD: 0.5") as run:
        run.wait_until_said("ready")
        run.service._stop.set()
        os.kill(engine_of(run.service.spec.port), signal.SIGKILL)
        run.thread.join(60)
    assert run.error is None


def test_a_registrys_password_is_not_shown():
    spec = ServerSpec(model="m", registry="etcd://u:hunter1@host/judges?user=u&password=hunter2&timeout=1")
    (line,) = (line for line in service._how_to_reach(spec) if "SERVER_URL" in line)
    assert "hunter" not in line
    assert shlex.split(line)[1].startswith("LLM_JUDGE_SERVER_URL=etcd://")
    assert "timeout=1" in shlex.split(line)[1]  # the whole is one word


def test_a_registry_that_cannot_be_is_said_and_the_server_stays_up(monkeypatch):
    def refuse(*_):
        raise ConfigError("registry='etcd://h/j': install llm-judge-remote[etcd]")

    monkeypatch.setattr(announcing, "register", refuse)
    with running("--reply", "REWARD: 0.5", registry="etcd://h/j") as run:
        run.wait_until_said("not registered: registry=")
        with Judge(JudgeSettings(server_url=run.url)) as judge:
            assert judge.score(SAMPLES[:1])[0].score == 0.5
        run.end()
    assert run.error is None


def test_what_is_told_without_a_file_names_none():
    program = ["-c", "raise SystemExit(3)"]
    with running(program=program) as run:
        run.thread.join(60)
    assert "printed nothing" in str(run.error)
    assert "engine.log" not in str(run.error)


DIES_FIRST = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def do_POST(self):
        print("CUDA out of memory", flush=True)
        os._exit(1)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
