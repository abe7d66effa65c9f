"""What a server serves and can do: by the JudgeServer, and by servers that answer oddly."""

import contextlib
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote import errors
from llm_judge_remote.client.capabilities import Capabilities, find_capabilities, served_models
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.testing import JudgeServer

MODELS, BATCH = "/v1/models", "/v1/chat/completions/batch"
NOT_FOUND = (404, b'{"detail":"Not Found"}')
OPENAPI = {"paths": {"/v1/chat/completions": {}, BATCH: {}, "/is_sleeping": {}, "/sleep": {}, "/wake_up": {}}}


@pytest.fixture
def connect():
    sessions = []

    def make(server, key=None):
        sessions.append(Session(server.url, api_key=key, connect_timeout=5, max_connections=8, trust_env=False))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


class Scripted:
    """A session whose server answers by path; what is not said is not there."""

    server = "http://judge:8000"

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def request(self, method, path, body=None, *, timeout, attempt=None):
        self.asked.append(path)
        answer = self.answers.get(path, NOT_FOUND)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            return Response(answer[0], {}, answer[1])
        return Response(200, {}, answer if isinstance(answer, bytes) else orjson.dumps(answer))


def listing(*cards):
    return {"object": "list", "data": list(cards)}


def card(name="m", **fields):
    return {"id": name, **fields}


def found(answers):
    return find_capabilities(Scripted(answers), 10)


# Servers as they are


def test_vllm_is_known_in_four_requests(connect):
    with JudgeServer(model="tiny", max_model_len=2048) as server:
        assert find_capabilities(connect(server), 10) == Capabilities(
            server.url, ("tiny",), 2048, "vllm", "0.32.0", batch_endpoint=True, sleep=False
        )
        assert [request.path for request in server.requests] == [MODELS, "/version", BATCH, "/is_sleeping"]
        assert server.stats.conversations == 0


def test_sglang_is_known_in_four_requests(connect):
    with JudgeServer(engine="sglang", batch_endpoint=False, api_key="sesame") as server:
        known = find_capabilities(connect(server, "sesame"), 10)
        assert (known.engine, known.version, known.max_model_len) == ("sglang", "0.5.15", 32768)
        assert (known.batch_endpoint, known.sleep) == (False, False)
        assert [request.path for request in server.requests] == [MODELS, "/server_info", BATCH, "/is_sleeping"]


def test_another_server_is_known_in_three_requests(connect):
    with JudgeServer(engine="other", openapi=False, batch_endpoint=False) as server:
        known = find_capabilities(connect(server), 10)
        assert (known.engine, known.version, known.max_model_len) == ("other", "", None)
        assert (known.batch_endpoint, known.sleep) == (False, False)
        assert server.stats.requests == 3


@pytest.mark.parametrize("asleep", [True, False])
def test_a_server_that_can_sleep_says_so_and_sleeps_on(connect, asleep):
    with JudgeServer(sleep=True) as server:
        server.sleeping = asleep
        assert find_capabilities(connect(server), 10).sleep is True
        assert server.sleeping is asleep


def test_the_batch_endpoint_takes_batches_after_it_was_tried(connect):
    """A session keeps the head of its first request to each path."""
    with JudgeServer(judge="ok") as server:
        session = connect(server)
        assert find_capabilities(session, 10).batch_endpoint
        body = orjson.dumps({"messages": [[{"role": "user", "content": "q"}]] * 2})
        assert session.request("POST", BATCH, body, timeout=10).status == 200


def test_the_models_are_one_request(connect):
    with JudgeServer(model="tiny") as server:
        assert served_models(connect(server), 10) == ("tiny",)
        assert server.stats.by_path == {MODELS: 1}


# Refusals


@pytest.mark.parametrize("find", [find_capabilities, served_models])
def test_a_wrong_key_is_the_error_that_names_the_setting(connect, find):
    with JudgeServer(api_key="sesame") as server, pytest.raises(errors.AuthenticationError, match="set api_key"):
        find(connect(server, "wrong"), 10)


@pytest.mark.parametrize("find", [find_capabilities, served_models])
def test_a_server_that_loads_says_that(connect, find):
    with JudgeServer() as server:
        server.loading = True
        with pytest.raises(errors.OverloadedError, match="being loaded"):
            find(connect(server), 10)


@pytest.mark.parametrize("find", [find_capabilities, served_models])
def test_a_server_that_is_not_there_is_unavailable(connect, find):
    with JudgeServer() as server:
        pass
    with pytest.raises(errors.ServerUnavailableError):
        find(connect(server), 10)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b"{" * 5000])
def test_a_list_that_is_none_is_an_invalid_reply(body):
    with pytest.raises(errors.InvalidReplyError, match="no JSON object"):
        served_models(Scripted({MODELS: body}), 10)


# Cards


@pytest.mark.parametrize("data", [None, {}, "m", 3, [None, 3, "m", [], {}, {"id": 3}, {"id": ""}, {"id": None}]])
def test_what_names_no_model_is_passed_over(data):
    assert served_models(Scripted({MODELS: {"data": data}}), 10) == ()
    assert found({MODELS: {"data": data}}) == Capabilities(
        Scripted.server, (), None, "other", "", batch_endpoint=False, sleep=False
    )


def test_the_first_model_gives_the_length_and_all_give_their_names():
    known = found({MODELS: listing(None, card("a", max_model_len=8), card("lora", max_model_len=9))})
    assert (known.models, known.max_model_len) == (("a", "lora"), 8)


@pytest.mark.parametrize("length", [None, True, 0, -1, "4096", 4096.0, [], {}])
def test_a_length_that_is_no_count_is_unknown(length):
    assert found({MODELS: listing(card(owned_by="vllm", max_model_len=length))}).max_model_len is None


@pytest.mark.parametrize(
    ("version", "said"), [({"version": "0.9"}, "0.9"), ({"version": 9}, ""), ({}, ""), (b"<", ""), (NOT_FOUND, "")]
)
def test_a_version_that_is_not_said_is_empty(version, said):
    known = found({MODELS: listing(card(owned_by="vllm")), "/version": version})
    assert (known.engine, known.version) == ("vllm", said)


def test_an_older_sglang_is_asked_by_the_older_name():
    known = found({MODELS: listing(card(owned_by="sglang")), "/get_server_info": {"version": "0.4.1"}})
    assert (known.engine, known.version) == ("sglang", "0.4.1")


def test_an_engine_under_another_name_is_known_by_its_endpoints():
    models = {MODELS: listing(card(owned_by="acme", max_model_len=8))}
    assert found({**models, "/version": {"version": "0.9"}}).engine == "vllm"
    assert found({**models, "/server_info": {"version": "0.5"}}).engine == "sglang"
    assert found({**models, "/server_info": {"vllm_config": "..."}}).engine == "other"
    assert found(models).engine == "other"


# Endpoints


@pytest.mark.parametrize(
    ("status", "is_there"),
    [(400, True), (422, True), (404, False), (405, False), (501, False), (500, None), (200, None)],
)
def test_what_is_said_to_no_batch_tells_whether_batches_are_taken(status, is_there):
    assert found({MODELS: listing(card()), BATCH: (status, b"{}")}).batch_endpoint is is_there


@pytest.mark.parametrize(
    ("answer", "can"),
    [
        ({"is_sleeping": True}, True),
        ({"is_sleeping": False}, True),
        ({"is_sleeping": "no"}, False),
        (b"<html>", False),
        ((404, b""), False),
        ((405, b""), False),
        ((401, b""), None),
        ((500, b""), None),
        (errors.ConnectionDroppedError("gone"), None),
    ],
)
def test_only_who_says_whether_it_sleeps_can_sleep(answer, can):
    assert found({MODELS: listing(card()), "/is_sleeping": answer}).sleep is can


def test_what_trying_leaves_open_the_list_of_endpoints_tells():
    open_ = {MODELS: listing(card()), BATCH: (500, b""), "/is_sleeping": (500, b"")}
    known = found({**open_, "/openapi.json": OPENAPI})
    assert (known.batch_endpoint, known.sleep) == (True, True)
    known = found({**open_, "/openapi.json": {"paths": {"/v1/chat/completions": {}}}})
    assert (known.batch_endpoint, known.sleep) == (False, False)


def test_the_list_says_nothing_against_what_was_seen():
    known = found({MODELS: listing(card()), BATCH: (500, b""), "/openapi.json": OPENAPI})
    assert (known.batch_endpoint, known.sleep) == (True, False)


@pytest.mark.parametrize("listed", [{}, {"paths": None}, {"paths": {"/{path}": {}}}, b"<html>", NOT_FOUND])
def test_a_list_without_chat_says_nothing(listed):
    known = found({MODELS: listing(card()), BATCH: (500, b""), "/is_sleeping": (503, b""), "/openapi.json": listed})
    assert (known.batch_endpoint, known.sleep) == (None, None)


def test_when_the_time_is_up_the_rest_stays_unknown():
    class Slow(Scripted):
        def request(self, method, path, body=None, *, timeout, attempt=None):
            response = super().request(method, path, body, timeout=timeout)
            until = time.monotonic() + timeout
            while path == "/version" and time.monotonic() <= until:
                time.sleep(0.001)
            return response

    session = Slow({MODELS: listing(card(owned_by="vllm")), "/version": {"version": "0.9"}})
    known = find_capabilities(session, 0.05)
    assert (known.version, known.batch_endpoint, known.sleep) == ("0.9", None, None)
    assert session.asked == [MODELS, "/version"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "id", "owned_by", "max_model_len", "version", "paths", "is_sleeping"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from([MODELS, BATCH, "/version", "/server_info", "/is_sleeping", "/openapi.json"]),
        st.tuples(st.sampled_from([200, 200, 200, 404, 500]), st.binary(max_size=20) | JSON.map(orjson.dumps)),
    )
)
def test_whatever_a_server_says_nothing_but_a_server_error_comes_of_it(answers):
    with contextlib.suppress(errors.ServerError):
        known = find_capabilities(Scripted(answers), 10)
        assert all(isinstance(name, str) for name in known.models)
