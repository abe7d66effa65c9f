import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import requests

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.serving.guard import group_members
from llm_judge_remote.serving.launch import Engine, EngineError, free_port

FAKE = str(Path(__file__).with_name("fake_engine.py"))
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


def fake(*manners):
    return lambda port: [sys.executable, FAKE, str(port), *manners]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "engine.log"


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)
    return found


def refuses(url):
    with socket.socket() as client:
        return client.connect_ex((url.split("//")[1].split(":")[0], int(url.rpartition(":")[2]))) != 0


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_inside_the_block_the_server_answers_and_after_it_nothing_is_left(log):
    with Engine(fake(), log=log) as engine:
        assert engine.wait_until_healthy(60) > 0
        assert requests.get(f"{engine.url}/health", timeout=10).status_code == 200
        # The guard, the engine and the engine's child.
        wait_for(lambda: len(group_members(engine.group)) == 3)
        assert engine.is_running()
    assert group_members(engine.group) == []
    assert not engine.is_running()
    assert refuses(engine.url)


def test_two_engines_get_ports_of_their_own(tmp_path):
    with Engine(fake(), log=tmp_path / "1.log") as one, Engine(fake(), log=tmp_path / "2.log") as two:
        one.wait_until_healthy(60)
        two.wait_until_healthy(60)
        assert one.port != two.port


def test_what_ignores_sigterm_is_killed_after_the_grace(log):
    with Engine(fake("stubborn"), log=log, grace=0.3) as engine:
        engine.wait_until_healthy(60)
        wait_for(lambda: "the child runs" in engine.last_lines())
    assert group_members(engine.group) == []


def test_an_engine_that_dies_while_it_starts_is_told_with_the_end_of_its_log(log):
    def dying(_):
        script = "import sys; [print('line', n) for n in range(100)]; sys.exit('out of memory')"
        return [sys.executable, "-c", script]

    with pytest.raises(EngineError, match="ended while it was starting") as caught, Engine(dying, log=log) as engine:
        engine.wait_until_healthy(60)
    assert "line 99" in str(caught.value)
    assert "out of memory" in str(caught.value)
    assert "line 50\n" not in str(caught.value)
    assert str(log) in str(caught.value)


def test_a_command_that_is_not_there_is_told_too(log):
    with (
        pytest.raises(EngineError, match="cannot start /no/such/engine"),
        Engine(lambda _: ["/no/such/engine"], log=log) as engine,
    ):
        engine.wait_until_healthy(60)


def test_what_a_dead_engine_leaves_behind_is_ended(log):
    with Engine(fake("leave-child"), log=log) as engine:
        wait_for(lambda: not engine.is_running())
        assert group_members(engine.group) == []
        assert "the engine gives up" in engine.last_lines()


def test_an_engine_that_never_gets_well_is_given_up_after_the_timeout(log):
    with (
        pytest.raises(EngineError, match="not ready after 1 s") as caught,
        Engine(fake("never-well"), log=log) as engine,
    ):
        engine.wait_until_healthy(1, interval=0.05)
    assert "listening soon" in str(caught.value)
    assert group_members(engine.group) == []


def test_progress_tells_the_time_and_the_last_line_of_the_log(log):
    seen = []
    with Engine(fake("never-well"), log=log) as engine:
        wait_for(lambda: "listening soon" in engine.last_lines())
        with pytest.raises(EngineError):
            engine.wait_until_healthy(0.3, lambda seconds, line: seen.append((seconds, line)), interval=0.05)
    assert seen
    assert seen == sorted(seen, key=lambda pair: pair[0])
    assert seen[-1][1] in ("listening soon", "the child runs")


def test_an_error_in_the_block_stops_the_engine(log):
    engine = Engine(fake(), log=log)

    def use():
        with engine:
            engine.wait_until_healthy(60)
            assert group_members(engine.group)
            raise LookupError

    with pytest.raises(LookupError):
        use()
    assert group_members(engine.group) == []


def test_stopping_twice_is_stopping_once(log):
    with Engine(fake(), log=log) as engine:
        engine.stop()
        engine.stop()
    assert group_members(engine.group) == []


def test_an_engine_starts_once(log):
    with Engine(fake(), log=log) as engine, pytest.raises(RuntimeError, match="once"):
        engine.start()


def test_the_environment_reaches_the_engine(log):
    def shows(_):
        return [sys.executable, "-c", "import os; print('FROM_THE_TEST is', os.environ['FROM_THE_TEST'])"]

    with Engine(shows, log=log, environment={"FROM_THE_TEST": "here"}) as engine:
        wait_for(lambda: "FROM_THE_TEST is here" in engine.last_lines())


def test_the_error_is_one_of_the_package_and_can_be_pickled():
    error = pickle.loads(pickle.dumps(EngineError("it ended")))
    assert isinstance(error, JudgeError)
    assert str(error) == "it ended"


OWNER = textwrap.dedent(
    """
    import signal
    import sys
    from pathlib import Path
    from llm_judge_remote.serving.launch import Engine
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    with Engine(lambda port: [sys.executable, sys.argv[1], str(port)], log=Path(sys.argv[2])) as engine:
        engine.wait_until_healthy(60)
        print(engine.group, flush=True)
        sys.stdin.read()
    """
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_to_the_owner_ends_the_engine(log, number):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, FAKE, str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        group = int(owner.stdout.readline())
        wait_for(lambda: len(group_members(group)) == 3)
        os.kill(owner.pid, number)
        wait_for(lambda: group_members(group) == [])
        assert owner.wait(30) != 0
