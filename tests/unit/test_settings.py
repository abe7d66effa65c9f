"""Every setting through each of its layers."""

import os
import pickle

import pytest
import yaml

from llm_judge_remote import ConfigError, JudgeSettings
from llm_judge_remote.layers import CallSettings, row_overrides, settings_for_row
from llm_judge_remote.setting_sources import ALIASES, ENVIRONMENT_ALIASES
from llm_judge_remote.setting_types import Routes, split_weight
from llm_judge_remote.settings import ROW_FIELDS

# For each field: (as text in the environment, as a value, what both become)
VALUES = {
    "server_url": ("a:1, https://b/v1/", ["a:1", "https://b/v1/"], ("http://a:1", "https://b")),
    "api_key": ("k1", "k1", "k1"),
    "trust_env": ("true", True, True),
    "model_name": ("auto", "auto", "auto"),
    "prompt_template": ("binary", "binary", "binary"),
    "registry_refresh": ("2", 2, 2.0),
    "affinity": ("off", False, "off"),
    "affinity_slack": ("0.5", 0.5, 0.5),
    "routing_header": ("X-Key", "X-Key", "X-Key"),
    "temperature": ("0.1", 0.1, 0.1),
    "top_p": ("0.5", 0.5, 0.5),
    "max_new_tokens": ("7", 7, 7),
    "enable_thinking": ("1", True, True),
    "thinking_budget": ("64", 64, 64),
    "structured_output": ("on", True, "on"),
    "scoring": ("expected", "expected", "expected"),
    "mass_floor": ("0.25", 0.25, 0.25),
    "votes": ("3", 3, 3),
    "vote_reduce": ("median", "median", "median"),
    "gate": ("accept", "accept", "accept"),
    "defences": ("false", False, False),
    "routes": ('{"maths": {"seed": 1}}', {"maths": {"seed": 1}}, Routes({"maths": {"seed": 1}})),
    "scorer": ("math:sqrt", "math:sqrt", "math:sqrt"),
    "fence_key": ("f1", "f1", "f1"),
    "seed": ("11", 11, 11),
    "filter_gt_by_prompt_token": ("yes", True, True),
    "timeout": ("2.5", 2.5, 2.5),
    "connect_timeout": ("1.5", 1.5, 1.5),
    "deadline": ("30", 30, 30.0),
    "max_retries": ("0", 0, 0),
    "outage_grace": ("0", 0, 0.0),
    "startup_timeout": ("0", 0, 0.0),
    "batch_size": ("4", 4, 4),
    "max_in_flight": ("6", 6, 6),
    "max_connections": ("9", 9, 9),
    "batch_endpoint": ("off", False, "off"),
    "linger": ("0", 0, 0.0),
    "hedging": ("off", False, "off"),
    "shared_limit": ("a/limit", "a/limit", "a/limit"),
    "breaker_folder": ("a/breakers", "a/breakers", "a/breakers"),
    "cache": ("memory", "memory", "memory"),
    "fallback": ("0.25", 0.25, 0.25),
    "fallback_metric": ("char_ratio", "char_ratio", "char_ratio"),
    "on_unavailable": ("raise", "raise", "raise"),
    "return_details": ("true", True, True),
}
OTHER = {  # a second value, to see which of two layers won
    "server_url": "c:3",
    "api_key": "k2",
    "registry_refresh": 3.0,
    "affinity": "on",
    "affinity_slack": 1.0,
    "routing_header": "X-Other",
    "trust_env": False,
    "model_name": "m2",
    "prompt_template": "concise",
    "temperature": 1.5,
    "top_p": 0.9,
    "max_new_tokens": 8,
    "enable_thinking": False,
    "thinking_budget": 65,
    "structured_output": "off",
    "scoring": "text",
    "mass_floor": 0.75,
    "votes": 1,
    "vote_reduce": "majority",
    "gate": "off",
    "defences": True,
    "routes": {"code": {}},
    "scorer": "math:exp",
    "fence_key": "f2",
    "seed": 12,
    "filter_gt_by_prompt_token": False,
    "timeout": 3.5,
    "connect_timeout": 3.25,
    "deadline": 31.0,
    "max_retries": 5,
    "outage_grace": 1.0,
    "startup_timeout": 30.0,
    "batch_size": 5,
    "max_in_flight": 7,
    "max_connections": 10,
    "batch_endpoint": "auto",
    "linger": 0.5,
    "hedging": "on",
    "shared_limit": "b/limit",
    "breaker_folder": "b/breakers",
    "cache": "c.sqlite",
    "fallback": "zero",
    "fallback_metric": "word_ratio",
    "on_unavailable": "fallback",
    "return_details": False,
}


def value_of(settings, name):
    value = getattr(settings, name)
    return value.get_secret_value() if name in ("api_key", "fence_key") else value


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    def write(values):
        path = tmp_path / "judge.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        monkeypatch.setenv("LLM_JUDGE_CONFIG", str(path))
        return path

    return write


def test_the_tables_of_this_file_know_every_setting():
    assert VALUES.keys() == OTHER.keys() == JudgeSettings.model_fields.keys()


@pytest.mark.parametrize("name", VALUES)
def test_a_setting_has_its_default_when_no_layer_names_it(name):
    assert getattr(JudgeSettings(), name) == JudgeSettings.model_fields[name].default


@pytest.mark.parametrize("name", VALUES)
def test_a_setting_is_taken_from_the_environment(name, monkeypatch):
    text, _, expected = VALUES[name]
    monkeypatch.setenv(f"LLM_JUDGE_{name.upper()}", text)
    assert value_of(JudgeSettings(), name) == expected


@pytest.mark.parametrize("name", VALUES)
def test_the_yaml_file_wins_over_the_environment(name, monkeypatch, config_file):
    _, value, expected = VALUES[name]
    config_file({name: value})
    assert value_of(JudgeSettings(), name) == expected
    monkeypatch.setenv(f"LLM_JUDGE_{name.upper()}", str(OTHER[name]))
    assert value_of(JudgeSettings(), name) == expected


@pytest.mark.parametrize("name", VALUES)
def test_the_call_wins_over_the_yaml_file_and_the_environment(name, monkeypatch, config_file):
    _, value, expected = VALUES[name]
    monkeypatch.setenv(f"LLM_JUDGE_{name.upper()}", str(OTHER[name]))
    config_file({name: OTHER[name]})
    assert value_of(CallSettings()({name: value}), name) == expected


@pytest.mark.parametrize("name", sorted(ROW_FIELDS))
def test_the_row_wins_over_the_call_for_the_fields_it_may_change(name):
    _, value, expected = VALUES[name]
    call = CallSettings()({name: OTHER[name]})
    extra = {name: value, "index": 3}
    if name == "api_key":
        extra["server_url"] = "row:1"
    assert value_of(settings_for_row(call, row_overrides(extra)), name) == expected


@pytest.mark.parametrize("name", sorted(VALUES.keys() - ROW_FIELDS))
def test_a_row_leaves_the_fields_alone_that_belong_to_the_operator(name):
    call = CallSettings()({name: OTHER[name]})
    row = settings_for_row(call, row_overrides({name: VALUES[name][1]}))
    assert getattr(row, name) == getattr(call, name)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_a_second_name_counts_as_the_first_in_the_call_the_file_and_the_row(alias, name, config_file):
    _, value, expected = VALUES[name]
    assert getattr(JudgeSettings(**{alias: value}), name) == expected
    assert getattr(settings_for_row(JudgeSettings(), row_overrides({alias: value})), name) == expected
    config_file({alias: value})
    assert getattr(JudgeSettings(), name) == expected


@pytest.mark.parametrize(("variable", "name"), ENVIRONMENT_ALIASES.items())
def test_the_variables_that_users_know_are_read(variable, name, monkeypatch):
    monkeypatch.setenv(variable, VALUES[name][0])
    assert value_of(JudgeSettings(), name) == VALUES[name][2]


def test_a_field_s_own_name_wins_over_its_second_name():
    assert JudgeSettings(model="a", model_name="b").model_name == "b"


def test_an_empty_variable_is_no_value(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_TIMEOUT", "")
    assert JudgeSettings().timeout == 60.0


def test_the_environment_counts_from_the_next_call_on(monkeypatch):
    settings = CallSettings()
    assert settings({}).temperature == 0.7
    monkeypatch.setenv("LLM_JUDGE_TEMPERATURE", "0")
    assert settings({}).temperature == 0
    assert settings({}) is settings({})


BAD = [
    ({"server_url": "ftp://h"}, "server_url='ftp://h'"),
    ({"server_url": "http://"}, "server_url"),
    ({"server_url": "http://h:99999"}, "server_url"),
    ({"server_url": "http://h?x=1"}, "query"),
    ({"timeout": 0}, "timeout=0"),
    ({"timeout": "soon"}, "timeout='soon'"),
    ({"timeout": float("nan")}, "timeout"),
    ({"deadline": -1}, "deadline=-1"),
    ({"temperature": 3}, "temperature=3"),
    ({"top_p": 0}, "top_p=0"),
    ({"max_new_tokens": 0}, "max_new_tokens=0"),
    ({"max_retries": -1}, "max_retries=-1"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"fallback": "guess"}, "'group_mean', 'zero' or 'raise'"),
    ({"fallback": 1.5}, "fallback=1.5"),
    ({"on_unavailable": "panic"}, "on_unavailable"),
    ({"fallback": True}, "fallback=True"),
    ({"temperature": True}, "temperature=True"),
    ({"batch_size": True}, "batch_size=True"),
    ({"server_url": "http:/h:1"}, "server_url"),
    ({"server_url": "http//h:1"}, "server_url"),
    ({"server_url": "8000"}, "server_url"),
    ({"server_url": "${X}"}, "server_url"),
    ({"server_url": '["a:1"]'}, "server_url"),
    ({"model_name": ""}, "model_name"),
    ({"max_in_flight": 0}, "max_in_flight=0"),
    ({"linger": -1}, "linger=-1"),
    ({"linger": 60}, "linger=60"),
    ({"batch_endpoint": "maybe"}, "batch_endpoint='maybe'"),
    ({"hedging": 2}, "hedging=2"),
    ({"cache": 7}, "cache=7"),
]


@pytest.mark.parametrize("name", ["cache", "shared_limit", "breaker_folder"])
@pytest.mark.parametrize("value", ["off", False, "", "none", None])
def test_what_keeps_a_file_can_be_switched_off(name, value):
    assert getattr(JudgeSettings(**{name: value}), name) is None


@pytest.mark.parametrize(("given", "named"), BAD, ids=[str(given) for given, _ in BAD])
def test_a_value_of_no_use_is_an_error_that_names_setting_value_and_origin(given, named):
    with pytest.raises(ConfigError) as caught:
        CallSettings()(given)
    assert named in str(caught.value)
    assert "given in the call" in str(caught.value)


def test_an_error_names_the_variable_or_the_file_a_bad_value_came_from(monkeypatch, config_file):
    monkeypatch.setenv("LLM_JUDGE_SERVER_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="LLM_JUDGE_SERVER_TIMEOUT"):
        JudgeSettings()
    path = config_file({"timeout": "later"})
    with pytest.raises(ConfigError, match=f"from the file {path}"):
        JudgeSettings()


def test_an_unknown_name_in_the_yaml_file_is_an_error_naming_the_nearest(config_file):
    config_file({"tempratur": 0})
    with pytest.raises(ConfigError, match=r"unknown setting 'tempratur'; did you mean 'temperature'\?"):
        JudgeSettings()


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", "just words"])
def test_a_file_that_is_no_mapping_is_an_error(text, config_file):
    path = config_file(text)
    with pytest.raises(ConfigError, match=str(path)):
        JudgeSettings()


def test_a_missing_file_is_an_error(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_CONFIG", "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        JudgeSettings()


def test_an_unknown_name_in_a_call_is_ignored_and_said_once(caplog):
    settings = CallSettings()
    for _ in range(3):
        assert settings({"reward_router_address": "h:1", "tempratur": 0}).temperature == 0.7
    assert len(caplog.records) == 2
    assert "did you mean 'temperature'" in caplog.text


def test_a_key_is_not_shown_in_a_repr_or_an_error():
    settings = JudgeSettings(api_key="hunter2")
    assert "hunter2" not in repr(settings) + str(settings)
    with pytest.raises(ConfigError) as caught:
        JudgeSettings(api_key={"hunter2": 1})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        JudgeSettings(server_url="http://me:hunter2@h")
    assert "hunter2" not in str(caught.value)


def test_a_row_that_names_its_server_does_not_get_the_operator_s_key(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_API_KEY", "operator")
    row = settings_for_row(JudgeSettings(), {"server_url": "elsewhere:1"})
    assert row.api_key is None
    with pytest.raises(ConfigError, match="server_url"):
        settings_for_row(JudgeSettings(), {"api_key": "mine"})


def test_settings_are_frozen_hashable_and_pickle():
    settings = JudgeSettings(server_url="h:1", api_key="k")
    assert hash(settings) == hash(JudgeSettings(server_url="h:1", api_key="k"))
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.timeout = 1


def test_no_foreign_variable_is_taken_for_a_setting(monkeypatch):
    for name in VALUES:
        monkeypatch.setitem(os.environ, name.upper(), "surprise")
    assert JudgeSettings() == JudgeSettings.model_construct()


ADDRESSES = {
    "h:1": "http://h:1",
    "http://h:1/": "http://h:1",
    "http://h:1/v1": "http://h:1",
    "http://h:1//v1/": "http://h:1",
    "HTTP://h:1/V1": "http://h:1",
    "http://h:1/v1/chat/completions": "http://h:1",
    "http://h:1/v1/models": "http://h:1",
    "https://gateway/judge/v1": "https://gateway/judge",
    "[::1]:8000": "http://[::1]:8000",
    "127.0.0.1:8000": "http://127.0.0.1:8000",
    "localhost": "http://localhost",
}


@pytest.mark.parametrize(("given", "address"), ADDRESSES.items())
def test_an_address_is_understood_as_people_write_it(given, address):
    assert JudgeSettings(server_url=given).server_url == (address,)


def test_the_same_server_given_twice_is_one_server():
    assert JudgeSettings(server_url="a:1, http://a:1/, b:2").server_url == ("http://a:1", "http://b:2")


def test_none_in_a_call_or_a_file_is_not_given(config_file):
    assert CallSettings()({"temperature": None, "server_url": None}).temperature == 0.7
    config_file("temperature:\nserver_url: h:1\n")
    assert JudgeSettings().temperature == 0.7


def test_a_bad_value_of_a_row_is_said_to_be_the_row_s():
    with pytest.raises(ConfigError, match=r"top_p=7 \(in the row's extra_info\)"):
        settings_for_row(JudgeSettings(top_p=0.5), {"top_p": 7})


def test_a_row_reads_neither_the_file_nor_the_environment_again(config_file, monkeypatch):
    call = JudgeSettings()
    config_file("a: [")
    monkeypatch.setenv("LLM_JUDGE_TOP_P", "0.123")
    assert settings_for_row(call, {"seed": 3}).top_p == call.top_p


@pytest.mark.parametrize("weight", [0.00001, 2, 2_000_000, 1.5, "3"])
def test_a_weight_of_any_size_stays_a_weight(weight):
    (address,) = JudgeSettings(server_url={"h:1": weight}).server_url
    assert JudgeSettings(server_url=address).server_url == (address,)
    assert split_weight(address) == ("http://h:1", float(weight))


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "much", 1e-9])
def test_a_weight_of_no_use_is_refused(weight):
    with pytest.raises(ConfigError, match="weight"):
        JudgeSettings(server_url={"h:1": weight})


@pytest.mark.parametrize("header", ["Authorization", "content-length", "two words", ""])
def test_a_routing_header_may_not_be_another_one_s(header):
    with pytest.raises(ConfigError, match="routing_header"):
        JudgeSettings(routing_header=header or " x")


def test_a_password_in_an_address_is_not_shown():
    settings = JudgeSettings(server_url="etcd://h:2379/a?user=u&password=secret")
    assert "secret" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        JudgeSettings(server_url="etcd://user:secret@h:2379/a")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://h:1?sk-secret", "http://h:1/v1?k=sk-secret", "h:1?api_key=sk-secret"])
def test_a_key_in_an_address_is_refused_without_being_shown(address):
    with pytest.raises(ConfigError, match="query or fragment") as caught:
        JudgeSettings(server_url=address)
    assert "sk-secret" not in str(caught.value)


def test_a_mapping_is_shown_as_it_was_given():
    with pytest.raises(ConfigError, match=r"timeout=\{'a': 1\}"):
        JudgeSettings(timeout={"a": 1})


@pytest.mark.parametrize("text", ["api_key: sk-secret: x", "- 1", "[", "{1: {2: 3}}"])
def test_routes_that_cannot_be_read_are_refused_without_being_shown(text):
    with pytest.raises(ConfigError, match="routes") as caught:
        JudgeSettings(routes=text)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-1\n", " sk-1 "])
def test_a_key_from_a_file_is_sent_without_its_line_end(key):
    assert JudgeSettings(api_key=key).api_key.get_secret_value() == "sk-1"


@pytest.mark.parametrize("key", ["two\nlines", "ключ"])
def test_a_key_that_no_header_can_carry_is_told_and_not_shown(key):
    with pytest.raises(ConfigError, match="no header can carry") as caught:
        JudgeSettings(api_key=key)
    assert key not in str(caught.value)
