"""What a server tells of itself."""

from __future__ import annotations

import pytest

from llm_judge_remote.testing import JudgeServer

PROBES = ("/version", "/server_info", "/get_server_info", "/model_info", "/get_model_info")


def probed(client):
    return {path for path in PROBES if client.get(path).status_code == 200}


def test_sglang_says_what_it_is(connect):
    with JudgeServer(engine="sglang", model="tiny", max_model_len=2048) as server:
        client = connect(server)
        assert probed(client) == {"/server_info", "/get_server_info", "/model_info", "/get_model_info"}
        [card] = client.get("/v1/models").json()["data"]
        assert set(card) == {"id", "object", "created", "owned_by", "root", "parent", "max_model_len"}
        assert (card["id"], card["owned_by"], card["max_model_len"]) == ("tiny", "sglang", 2048)
        info = client.get("/server_info").json()
        assert info == client.get("/get_server_info").json()
        assert (info["version"], info["served_model_name"], info["context_length"]) == ("0.5.15", "tiny", 2048)
        about = client.get("/model_info").json()
        assert (about["model_path"], about["is_generation"], about["weight_version"]) == ("tiny", True, "default")


def test_vllm_has_only_its_version(connect, server):
    assert probed(connect(server)) == {"/version"}


def test_another_server_says_nothing_but_the_models_name(connect):
    with JudgeServer(engine="other") as server:
        client = connect(server)
        assert probed(client) == set()
        [card] = client.get("/v1/models").json()["data"]
        assert set(card) == {"id", "object", "created", "owned_by"}
        assert client.chat().status_code == 200


def test_there_is_no_such_engine():
    with pytest.raises(ValueError, match="none of vllm, sglang, other"):
        JudgeServer(engine="tgi")


@pytest.mark.parametrize(
    ("engine", "guarded"), [("vllm", {"/v1/models"}), ("sglang", {"/v1/models", "/server_info", "/openapi.json"})]
)
def test_the_key_guards_what_the_engine_guards(connect, engine, guarded):
    paths = {"/health", "/metrics", "/openapi.json", "/v1/models", "/server_info"}
    with JudgeServer(engine=engine, api_key="sesame") as server:
        client = connect(server)
        assert {path for path in paths if client.get(path).status_code == 401} == guarded


def test_the_endpoints_are_listed_as_fastapi_does(connect, server):
    listed = connect(server).get("/openapi.json").json()
    assert listed["openapi"] == "3.1.0"
    assert {path: list(methods) for path, methods in listed["paths"].items()} == {
        "/health": ["get"],
        "/version": ["get"],
        "/metrics": ["get"],
        "/v1/models": ["get"],
        "/tokenize": ["post"],
        "/v1/chat/completions": ["post"],
        "/v1/chat/completions/batch": ["post"],
    }


def test_what_is_not_there_is_not_listed_and_what_is_there_is(connect):
    with JudgeServer(batch_endpoint=False, sleep=True) as server:
        paths = connect(server).get("/openapi.json").json()["paths"]
    assert "/v1/chat/completions/batch" not in paths
    assert {"/sleep", "/wake_up", "/is_sleeping"} < set(paths)


def test_the_list_can_be_switched_off(connect):
    with JudgeServer(openapi=False) as server:
        assert connect(server).get("/openapi.json").status_code == 404
