from pathlib import Path

import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.serving.spec import ServerSpec, read_assignments


def made(**values):
    return ServerSpec.make({"model": "some/model", **values})


def refused(**values):
    with pytest.raises(ConfigError) as caught:
        made(**values)
    return str(caught.value)


def written(folder, text):
    path = folder / "server.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_model_is_enough():
    spec = made()
    assert (spec.engine, spec.host, spec.port, spec.gpus) == ("vllm", "127.0.0.1", 8000, 1)
    assert spec.name == "some/model"
    assert spec.registry_url is None
    assert spec.api_key() is None


def test_without_a_model_the_message_names_it():
    with pytest.raises(ConfigError, match=r"model=.*\(given\): Field required"):
        ServerSpec.make({"port": 8000})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("tensor_parallel", "tensor_parallel_size"),
        ("max_model_length", "max_model_len"),
        ("gpu_memory_utilisation", "gpu_memory_utilization"),
        ("prefix_cache", "prefix_caching"),
        ("api_key", "api_key_env"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(wrong, right):
    assert refused(**{wrong: 1}) == f"unknown setting {wrong!r}; did you mean {right!r}?"


def test_a_key_like_none_that_there_is_gets_no_guess():
    assert refused(zzz=1) == "unknown setting 'zzz'"


def test_several_faults_are_told_at_once():
    message = refused(port="web", tensor_paralel_size=2)
    assert "port='web'" in message
    assert "did you mean 'tensor_parallel_size'?" in message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"engine": "tgi"}, ("engine='tgi'", "'vllm'", "'sglang'")),
        ({"model": ""}, ("model=''", "at least 1 character")),
        ({"port": "web"}, ("port='web'", "valid integer")),
        ({"port": 65536}, ("port=65536", "less than or equal to 65535")),
        ({"port": -1}, ("port=-1", "greater than or equal to 0")),
        ({"tensor_parallel_size": 0}, ("tensor_parallel_size=0", "greater than or equal to 1")),
        ({"data_parallel_size": 1.5}, ("data_parallel_size=1.5", "valid integer")),
        ({"max_model_len": "8k"}, ("max_model_len='8k'", "valid integer")),
        ({"gpu_memory_utilization": 0}, ("gpu_memory_utilization=0", "greater than 0")),
        ({"gpu_memory_utilization": 90}, ("gpu_memory_utilization=90", "less than or equal to 1")),
        ({"prefix_caching": "maybe"}, ("prefix_caching='maybe'", "valid boolean")),
        ({"host": 127}, ("host=127", "valid string")),
        ({"seed": "lucky"}, ("seed='lucky'", "valid integer")),
        ({"restarts": -1}, ("restarts=-1", "greater than or equal to 0")),
        ({"start_timeout": 0}, ("start_timeout=0", "greater than 0")),
        ({"registry_ttl": 0.5}, ("registry_ttl=0.5", "greater than or equal to 1")),
        ({"api_key_env": ""}, ("api_key_env=''", "match pattern")),
        ({"extra_args": 7}, ("extra_args=(not shown)", "valid tuple")),
        ({"port": True}, ("port=True", "no switch")),
        ({"environment": ["A=1"]}, ("environment=(not shown)", "valid dictionary")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_value_of_no_use_is_told_with_its_name_and_what_it_should_be(values, told):
    message = refused(**values)
    for part in told:
        assert part in message


@pytest.mark.parametrize("alone", ["experiment_name", "trial_name"])
def test_experiment_and_trial_belong_together(alone):
    assert "both or not at all" in refused(**{alone: "run", "registry": "file:///shared"})


def test_experiment_and_trial_without_a_registry_are_nowhere():
    assert "set registry too" in refused(experiment_name="exp", trial_name="trial")


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("file:///shared", "file:///shared/exp/trial/judge"),
        ("file:///shared/", "file:///shared/exp/trial/judge"),
        ("etcd://host:2379", "etcd://host:2379/exp/trial/judge"),
        ("etcd://host:2379?timeout=3", "etcd://host:2379/exp/trial/judge?timeout=3"),
    ],
)
def test_the_registry_s_url_ends_in_experiment_trial_and_role(registry, url):
    assert made(registry=registry, experiment_name="exp", trial_name="trial").registry_url == url


def test_a_registry_alone_is_taken_as_it_is():
    assert made(registry="etcd://host:2379/my/judges").registry_url == "etcd://host:2379/my/judges"


def test_the_gpus_of_all_replicas_count():
    assert made(tensor_parallel_size=2, pipeline_parallel_size=3, data_parallel_size=4).gpus == 24


def test_a_served_name_is_what_requests_use():
    assert made(served_model_name="judge").name == "judge"


def test_another_port_changes_nothing_else():
    spec = made(port=0, seed=7)
    assert spec.at(8123) == made(port=8123, seed=7)
    assert spec.port == 0


def test_the_key_is_read_when_it_is_needed(monkeypatch):
    spec = made(api_key_env="MY_KEY")
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"api_key_env='MY_KEY'.*export"):
        spec.api_key()
    monkeypatch.setenv("MY_KEY", "")
    with pytest.raises(ConfigError, match="empty"):
        spec.api_key()
    monkeypatch.setenv("MY_KEY", "secret")
    assert spec.api_key() == "secret"
    assert "secret" not in repr(spec)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--a", "1"], ("--a", "1")),
        ({"kv-cache-dtype": "fp8"}, ("--kv-cache-dtype", "fp8")),
        ({"max_logprobs": 5}, ("--max-logprobs", "5")),
        ({"--already": "so"}, ("--already", "so")),
        ({"async_scheduling": True}, ("--async-scheduling",)),
        ({"async_scheduling": False}, ("--no-async-scheduling",)),
        ({"left-out": None}, ()),
        ({"stop": ["a", "b c"]}, ("--stop", "a", "b c")),
        ({"compilation-config": {"level": 3}}, ("--compilation-config", '{"level": 3}')),
        ("--stop 'b c'", ("--stop", "b c")),
        ([], ()),
        ({}, ()),
    ],
    ids=str,
)
def test_extra_arguments_are_a_list_a_mapping_or_a_line(given, words):
    assert made(extra_args=given).extra_args == words


def test_environment_variables_may_look_like_numbers_and_truths():
    given = {"A": 1, "B": True, "C": False, "D": 0.5, "E": "text", "F": None}
    assert made(environment=given).environment == {"A": "1", "B": "1", "C": "0", "D": "0.5", "E": "text"}


@pytest.mark.parametrize("name", ["max_model_len", "quantization", "prefix_caching", "registry", "api_key_env"])
def test_null_leaves_a_setting_to_the_engine(tmp_path, name):
    spec = ServerSpec.load(written(tmp_path, f"model: m\n{name}: null\n"))
    assert getattr(spec, name) is None


def test_null_stands_for_what_is_so_without_it(tmp_path):
    assert ServerSpec.load(written(tmp_path, "model: m\nport:\n")).port == 8000
    with pytest.raises(ConfigError, match="model"):
        ServerSpec.load(written(tmp_path, "model:\n"))


def test_a_file_is_read_and_changes_count_before_it(tmp_path):
    path = written(tmp_path, "model: m\nport: 8001\nseed: 1\nenvironment: {HF_HUB_OFFLINE: 1}\n")
    spec = ServerSpec.load(path, {"port": 8002, "seed": None, "model": "n"})
    assert (spec.model, spec.port, spec.seed) == ("n", 8002, None)  # null takes the file's value back
    assert spec.environment == {"HF_HUB_OFFLINE": "1"}


def test_changes_alone_are_enough():
    assert ServerSpec.load(None, {"model": "m"}) == ServerSpec(model="m")


def test_a_fault_in_a_file_names_the_file(tmp_path):
    path = written(tmp_path, "model: m\nport: web\n")
    with pytest.raises(ConfigError) as caught:
        ServerSpec.load(path)
    assert str(path) in str(caught.value)
    assert "port='web'" in str(caught.value)


def test_an_unknown_key_in_a_file_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'port'"):
        ServerSpec.load(written(tmp_path, "model: m\nprot: 8000\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: [m", "cannot be read: while parsing"),
        ("model: a: b", "cannot be read: mapping values are not allowed"),
        ("- model", "holds no `name: value` lines"),
        ("model", "holds no `name: value` lines"),
        ("", "holds no `name: value` lines"),
    ],
)
def test_a_file_that_is_no_mapping_is_told_with_its_name(tmp_path, text, told):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        ServerSpec.load(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)


def test_a_file_in_another_encoding_is_told(tmp_path):
    path = tmp_path / "server.yaml"
    path.write_bytes("model: modèle".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"server\.yaml cannot be read"):
        ServerSpec.load(path)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match=r"/no/such\.yaml cannot be read: .*No such file"):
        ServerSpec.load(Path("/no/such.yaml"))


def test_assignments_are_read_as_yaml():
    words = [
        "port=8001",
        "--max-model-len=4096",
        "sleep_mode=true",
        "extra_args=[--a, b]",
        "environment={A: 1}",
        "seed=",
    ]
    assert read_assignments(words) == {
        "port": 8001,
        "max_model_len": 4096,
        "sleep_mode": True,
        "extra_args": ["--a", "b"],
        "environment": {"A": 1},
        "seed": None,
    }


def test_an_assignment_s_value_may_hold_the_sign():
    assert read_assignments(["registry=etcd://h:1?timeout=3"]) == {"registry": "etcd://h:1?timeout=3"}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("8000", "'8000': write NAME=VALUE"),
        ("tensor_paralel_size=2", "did you mean 'tensor_parallel_size'?"),
        ("zzz=2", "a server has no 'zzz'"),
        ("extra_args=[1", "'extra_args=[1': the value cannot be read"),
    ],
)
def test_a_word_that_is_no_assignment_is_told(word, told):
    with pytest.raises(ConfigError) as caught:
        read_assignments([word])
    assert told in str(caught.value)


def test_a_spec_does_not_change():
    spec = made()
    with pytest.raises(ValueError, match="frozen"):
        spec.port = 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"extra_args": ["--host", "0.0.0.0"]}, "--host is the engine's word for host"),
        ({"extra_args": "--port=9000"}, "--port is the engine's word for port"),
        ({"extra_args": {"served_model_name": "x"}}, "--served-model-name is the engine's word"),
        ({"extra_args": ["--api-ke", "secret"]}, "--api-ke is the engine's word for api_key_env"),
        ({"extra_args": ["a\0b"]}, "NUL"),
        ({"environment": {"A=B": 1}}, "'A=B' is no variable's name"),
        ({"environment": {"A": "b\0"}}, "a text or a number"),
        ({"environment": {"A": {"B": 1}}}, "a text or a number"),
        ({"advertise_host": "http://10.0.0.5"}, "should be a host alone"),
        ({"advertise_host": "10.0.0.5:8000"}, "should be a host alone"),
        ({"registry_ttl": float("inf")}, "registry_ttl"),
        ({"registry": "file:///r", "experiment_name": "e", "trial_name": "run#2"}, "can stand in a URL"),
        ({"registry": "file:///r", "experiment_name": "..", "trial_name": "t"}, "can stand in a URL"),
    ],
)
def test_what_would_fail_or_go_round_a_setting_is_refused_at_once(values, told):
    with pytest.raises(ConfigError, match=told) as caught:
        made(**values)
    assert "secret" not in str(caught.value)


def test_names_may_be_numbers_and_dates_as_yaml_reads_them(tmp_path):
    text = "model: m\nregistry: ray://\nexperiment_name: 2026-11-21\ntrial_name: 7\nextra_args: [--max-logprobs, 20]\n"
    spec = ServerSpec.load(written(tmp_path, text))
    assert spec.registry_url == "ray://2026-11-21/7/judge"
    assert spec.extra_args == ("--max-logprobs", "20")


def test_a_host_to_announce_may_stand_in_brackets():
    assert made(advertise_host="[fd00::7]").advertise_host == "fd00::7"


@pytest.mark.parametrize("key", ["sk-1\n", "  sk-1 "])
def test_a_key_from_a_file_comes_without_its_line_end(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    assert made(api_key_env="MY_KEY").api_key() == "sk-1"


@pytest.mark.parametrize("key", ["two\nlines", "ключ"])
def test_a_key_that_no_header_can_carry_is_told_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigError, match="no header can carry") as caught:
        made(api_key_env="MY_KEY").api_key()
    assert key not in str(caught.value)
