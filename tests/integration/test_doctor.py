"""The doctor's looks at servers, each with the fault that it is there for, over real sockets."""

import json
import shutil
import socket
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from plain_server import PlainServer

from llm_judge_remote.diagnosis.setup.examination import Examination, Setup
from llm_judge_remote.diagnosis.setup.longest_row import longest_rows
from llm_judge_remote.diagnosis.setup.server import look_at_server
from llm_judge_remote.settings import JudgeSettings
from llm_judge_remote.testing import Fault, JudgeServer, Reply

LOOKS = ["proxy", "DNS", "TCP", "TLS", "HTTP", "clock", "key", "model", "sleep", "reply", "thinking", "context"]
LOOKS += ["longest row", "prefix cache"]
CARDS = {"data": [{"id": "Qwen/Qwen3-32B", "owned_by": "vllm", "max_model_len": 4096}]}
WELL = {"/health": (200, b""), "/v1/models": (200, CARDS), "/version": (200, {"version": "0.32.0"})}


@pytest.fixture(autouse=True)
def _no_proxies_from_outside(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def judge():
    with JudgeServer(judge="REWARD: 1.0") as running:
        yield running


def looked(url, rows=None, timeout=20.0, **settings):
    """The findings about a server, by name."""
    found = {each.name: each for each in look_at_server(url, JudgeSettings(**settings), timeout, rows)}
    assert list(found) == LOOKS
    return found


def levels(found, *names):
    return [found[name].level for name in names]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_a_server_with_nothing_wrong_has_no_warning_and_no_error(judge):
    found = looked(judge.url)
    assert {finding.level for finding in found.values()} == {"ok", "skipped"}
    assert [name for name, finding in found.items() if finding.level == "skipped"] == [
        "TLS",
        "longest row",
        "prefix cache",
    ]
    assert not any(finding.fix for finding in found.values())


def test_a_name_that_is_not_known_is_an_error_and_stops_what_builds_on_it():
    found = looked("http://judge.invalid:8000")
    assert found["DNS"].level == "error"
    assert "judge.invalid has no address here" in found["DNS"].message
    assert set(levels(found, *LOOKS[2:])) == {"skipped"}
    assert found["prefix cache"].message.endswith("DNS")


def test_a_port_that_nobody_listens_at_is_an_error_that_says_how_to_start_the_server():
    port = free_port()
    found = looked(f"http://127.0.0.1:{port}")
    assert levels(found, "DNS", "TCP", "HTTP", "reply") == ["ok", "error", "skipped", "skipped"]
    assert "Connection refused" in found["TCP"].message
    assert f"--port {port}" in found["TCP"].fix


def test_a_port_that_only_a_proxy_leads_to_is_told_of_the_proxy_that_is_not_obeyed(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:word@proxy.invalid:3128")
    found = looked(f"http://127.0.0.1:{free_port()}")
    assert levels(found, "proxy", "TCP") == ["ok", "error"]
    assert "does not obey it" in found["proxy"].message
    assert "trust_env: true" in found["TCP"].fix
    assert not any("word" in finding.message + finding.fix for finding in found.values())


def test_a_proxy_that_does_not_let_the_judge_s_requests_pass_is_an_error_and_the_rest_is_asked_directly(
    judge, monkeypatch
):
    with PlainServer(lambda _: (403, b"not allowed")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        found = looked(judge.url, trust_env=True)
        assert proxy.asked == [f"{judge.url}/health"]
    assert found["proxy"].level == "error"
    assert "answers 403, while the judge answers directly" in found["proxy"].message
    assert "NO_PROXY" in found["proxy"].fix
    assert levels(found, "TCP", "HTTP", "model", "reply") == ["ok"] * 4


def test_a_proxy_that_is_not_there_is_an_error_too(judge, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    found = looked(judge.url, trust_env=True)
    assert levels(found, "proxy", "reply") == ["error", "ok"]
    assert "does not pass requests on" in found["proxy"].message


def test_a_proxy_that_passes_requests_on_is_a_warning_and_all_goes_through_it(judge, monkeypatch):
    def pass_on(url):
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, timeout=10)
            return answer.status_code, answer.content, {"Content-Type": "application/json"}

    with PlainServer(pass_on) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        found = looked(judge.url, trust_env=True)
        assert f"{judge.url}/v1/models" in proxy.asked
    assert levels(found, "proxy", "DNS", "TCP", "TLS", "HTTP", "model") == ["warning", *["skipped"] * 3, "ok", "ok"]


def test_no_proxy_keeps_the_judge_out_of_the_proxy_s_hands(judge, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = looked(judge.url, trust_env=True)
    assert levels(found, "proxy", "HTTP") == ["ok", "ok"]


# TLS: a certificate of its own authority, for 127.0.0.1 or for another name, that holds or has run out.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    binary = shutil.which("openssl")
    assert binary, "there is no openssl here; Debian has it: apt-get install openssl"

    def made(names="IP:127.0.0.1", days=400):
        folder = tmp_path_factory.mktemp("tls")
        key, request, extensions, made = (
            folder / name for name in ("key.pem", "request.pem", "extensions", "made.pem")
        )
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:true\n")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=judge"]
        signing = ["-signkey", key, "-extfile", extensions, "-days", str(days)]
        for command in (
            [binary, "req", "-new", *curve, "-keyout", key, "-out", request],
            [binary, "x509", "-req", "-in", request, *signing, "-out", made],
        ):
            subprocess.run(command, check=True, capture_output=True)
        return made, key

    return made


def trusting(monkeypatch, certificate):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    return {"trust_env": True}


def test_a_certificate_that_holds_says_for_how_long(certificate, monkeypatch):
    files = certificate()
    with PlainServer(WELL, files) as server:
        found = looked(server.url, **trusting(monkeypatch, files))
    assert levels(found, "TLS", "HTTP") == ["ok", "ok"]
    assert "holds for another 400 days" in found["TLS"].message


def test_a_certificate_of_an_unknown_authority_is_an_error_that_names_the_way_out(certificate, monkeypatch):
    files = certificate()
    with PlainServer(WELL, files) as server:
        unknown = looked(server.url)["TLS"]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files[0]))
        not_obeyed = looked(server.url)
    assert (unknown.level, "self-signed" in unknown.message.replace("self signed", "self-signed")) == ("error", True)
    assert "REQUESTS_CA_BUNDLE=FILE" in unknown.fix
    assert "REQUESTS_CA_BUNDLE is set, but not obeyed" in not_obeyed["TLS"].fix
    assert not_obeyed["HTTP"].level == "skipped"


def test_a_certificate_for_another_name_is_an_error(certificate, monkeypatch):
    files = certificate("DNS:judge.example")
    with PlainServer(WELL, files) as server:
        found = looked(server.url, **trusting(monkeypatch, files))["TLS"]
    assert (found.level, "mismatch" in found.message) == ("error", True)
    assert "127.0.0.1" in found.fix


def test_a_certificate_that_soon_runs_out_is_a_warning_and_one_that_has_run_out_an_error(certificate, monkeypatch):
    found = {}
    for days in (3, -1):
        files = certificate(days=days)
        with PlainServer(WELL, files) as server:
            found[days] = looked(server.url, **trusting(monkeypatch, files))["TLS"]
    assert (found[3].level, found[3].fix) == ("warning", "renew it")
    assert (found[-1].level, "expired" in found[-1].message) == ("error", True)
    assert "clock" in found[-1].fix


def test_tls_wanted_from_a_server_without_it_and_the_other_way_round_are_told_apart(judge, certificate):
    found = looked(judge.url.replace("http", "https"))
    assert levels(found, "TCP", "TLS", "HTTP") == ["ok", "error", "skipped"]
    assert found["TLS"].fix.endswith(f"write {judge.url}")
    with PlainServer(WELL, certificate()) as server:
        found = looked(server.url.replace("https", "http"))
    assert levels(found, "TLS", "HTTP", "model") == ["skipped", "error", "skipped"]
    assert found["HTTP"].fix == f"write {server.url}"


def test_a_bundle_that_is_not_there_is_named(certificate, monkeypatch):
    with PlainServer(WELL, certificate()) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
        found = looked(server.url, trust_env=True)
    assert "/nowhere.pem is not there" in found["TLS"].message


def test_a_server_that_loads_its_model_is_not_ready(judge):
    judge.loading = True
    found = looked(judge.url)
    assert (found["HTTP"].level, "wait until the model is loaded" in found["HTTP"].fix) == ("error", True)
    assert levels(found, "key", "reply") == ["skipped", "skipped"]


def test_a_redirect_is_an_error_as_nobody_follows_it():
    with PlainServer({"/health": (307, b"", {"Location": "https://elsewhere.example"})}) as server:
        found = looked(server.url)["HTTP"]
    assert (found.level, "https://elsewhere.example" in found.message) == ("error", True)


def test_a_balancer_without_servers_is_an_error():
    with PlainServer({"/health": (502, b"")}) as server:
        assert looked(server.url)["HTTP"].level == "error"


def test_a_server_that_answers_nothing_is_an_error_within_the_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = looked(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    assert levels(found, "TCP", "HTTP") == ["ok", "error"]
    assert "had not answered after 0.3 s" in found["HTTP"].message


@pytest.mark.parametrize(("ahead", "words"), [(90, "90 s ahead of"), (-3600, "3600 s behind")])
def test_a_clock_that_is_wrong_is_a_warning(ahead, words):
    with PlainServer(WELL, ahead=ahead) as server:
        found = looked(server.url)["clock"]
    assert found.level == "warning"
    near = {words.replace(number, str(int(number) + off)) for number in words.split()[:1] for off in (-1, 0, 1)}
    assert any(each in found.message for each in near)


def test_a_key_is_refused_accepted_missing_or_not_needed(judge):
    with JudgeServer(api_key="open-sesame", judge="REWARD: 1.0") as guarded:
        refused, missing, accepted = (looked(guarded.url, api_key=key) for key in ("close-sesame", None, "open-sesame"))
    assert levels(refused, "key", "model", "reply") == ["error", "skipped", "skipped"]
    assert "refuses the key (401)" in refused["key"].message
    assert (missing["key"].level, "LLM_JUDGE_SERVER_API_KEY" in missing["key"].fix) == ("error", True)
    assert accepted["key"].message == "the key is accepted"
    assert "none is needed" in looked(judge.url, api_key="open-sesame")["key"].message
    everything = [*refused.values(), *missing.values(), *accepted.values()]
    assert not any("sesame" in finding.message + finding.fix for finding in everything)


def test_a_netrc_entry_that_is_sent_in_place_of_the_key_is_an_error(judge, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert looked(judge.url, api_key="k")["key"].level == "ok"
    found = looked(judge.url, api_key="k", trust_env=True)["key"]
    assert (found.level, "netrc" in found.message) == ("error", True)


def test_a_model_that_is_not_served_is_an_error_with_the_ones_that_are_and_the_rest_is_asked_of_one_of_them(judge):
    found = looked(judge.url, model_name="Qwen/Qwen3-23B")
    assert found["model"].level == "error"
    assert "did you mean 'Qwen/Qwen3-32B'?" in found["model"].message
    assert found["model"].fix == "set model_name: Qwen/Qwen3-32B, or auto"
    assert levels(found, "reply", "context") == ["ok", "ok"]
    assert "(asked of Qwen/Qwen3-32B)" in found["reply"].message
    assert looked(judge.url, model_name="auto")["model"].level == "ok"


def test_a_gateway_may_serve_more_than_it_lists():
    with JudgeServer(engine="other", judge="REWARD: 1.0") as server:
        found = looked(server.url, model_name="another")
    assert found["model"].level == "warning"


def test_what_is_no_judge_at_all_is_told_by_its_missing_models():
    with PlainServer({"/health": (200, b"")}) as server:
        found = looked(server.url)
    assert levels(found, "HTTP", "model", "reply") == ["ok", "error", "error"]
    assert "without /v1" in found["model"].fix


def test_a_model_that_thinks_although_it_is_not_to_is_a_warning_where_a_verdict_comes_and_an_error_where_none_does():
    with JudgeServer(judge=Reply("REWARD: 1.0", "Let me see.")) as server:
        field = looked(server.url)
    assert levels(field, "reply", "thinking") == ["ok", "warning"]
    assert "in a field of its own: 'Let me see.'" in field["thinking"].message
    with JudgeServer(judge=Reply("REWARD: 1.0", "Let me see."), reasoning_field=None) as server:
        inside = looked(server.url)
    assert "in the content" in inside["thinking"].message
    assert "enable_thinking" in inside["thinking"].fix
    with JudgeServer(judge=Reply("REWARD: 1.0", "well " * 2000)) as server:
        endless = looked(server.url)
    assert levels(endless, "reply", "thinking") == ["error", "error"]


def test_thinking_that_is_on_is_well_where_it_happens_and_a_warning_where_it_does_not(judge):
    judge.judge = lambda conversation: Reply("REWARD: 1.0", "Hm." if conversation.thinking else None)
    assert looked(judge.url, enable_thinking=True)["thinking"].level == "ok"
    judge.judge = Reply("REWARD: 1.0")
    found = looked(judge.url, enable_thinking=True)["thinking"]
    assert (found.level, "did not think" in found.message) == ("warning", True)


def test_a_server_that_sleeps_is_told_and_not_waited_for():
    with JudgeServer(sleep=True, judge="REWARD: 1.0") as server:
        assert looked(server.url)["sleep"].message == "the server is awake, and can be put to sleep"
        server.sleeping = True
        found = looked(server.url)
        assert levels(found, "HTTP", "model", "sleep", "reply", "thinking") == ["ok", "ok", "warning", *["skipped"] * 2]
        assert server.stats.conversations == 1


def test_an_answer_that_arrives_in_the_field_of_the_reasoning_is_an_error():
    with JudgeServer(judge=Reply(None, "REWARD: 1.0")) as server:
        found = looked(server.url)["reply"]
    assert (found.level, "--reasoning-parser" in found.fix) == ("error", True)


@pytest.mark.parametrize(
    ("reply", "level", "words"),
    [("I cannot tell.", "error", "no verdict"), ("REWARD: 0.1", "warning", "a right answer gets the score 0.1")],
)
def test_a_judge_that_gives_no_verdict_or_a_wrong_one_is_told(reply, level, words):
    with JudgeServer(judge=reply, constraint="ignored") as server:
        found = looked(server.url)["reply"]
    assert (found.level, words in found.message) == (level, True)


def test_a_first_reply_without_a_verdict_is_a_warning():
    replies = ["Well.", "REWARD: 1.0"]
    with JudgeServer(judge=replies, constraint="ignored") as server:
        found = looked(server.url, structured_output="off")["reply"]
    assert (found.level, "only when asked again" in found.message) == ("warning", True)


def test_a_row_that_fails_is_an_error_and_one_that_is_slower_than_the_doctor_s_time_a_warning(judge):
    judge.inject(Fault("status", status=500))
    assert looked(judge.url)["reply"].level == "error"
    judge.faults = [Fault("hang", seconds=30)]
    found = looked(judge.url, timeout=1.0)["reply"]
    assert (found.level, "--timeout" in found.fix) == ("warning", True)


def test_a_reply_s_tokens_that_fill_the_whole_context_are_an_error():
    with JudgeServer(max_model_len=512, clamp_max_tokens=True, judge="REWARD: 1.0") as server:
        found = looked(server.url)
        assert looked(server.url, max_new_tokens=128)["context"].level == "ok"
    assert (found["context"].level, "max_new_tokens" in found["context"].fix) == ("error", True)


@pytest.fixture
def write(tmp_path):
    def written(*problems, **columns):
        rows = [
            {
                "data_source": "llm_judge_remote_sums",
                "prompt": [{"role": "user", "content": problem}],
                "reward_model": {"style": "model", "ground_truth": "4"},
                "extra_info": {"problem": problem},
                **{name: values[number] for name, values in columns.items()},
            }
            for number, problem in enumerate(problems)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        return tmp_path / "rows.parquet"

    return written


def test_a_row_that_leaves_no_room_for_a_candidate_is_an_error_and_named_by_its_number(judge, write):
    file = write("short", "long " * 30_000, "short again")
    settings = JudgeSettings()
    found = looked(judge.url, rows=longest_rows(file, settings, 30.0))["longest row"]
    assert found.level == "error"
    assert f"row 1 of {file}" in found.message
    assert "counted by the server" in found.message
    assert "max_model_len=32768" in found.message
    assert "--context 32768" in found.fix


def test_rows_that_fit_say_what_is_left_and_warn_where_verl_s_answers_may_be_longer(judge, write):
    file = write("short", "not so short")
    fits = looked(judge.url, rows=longest_rows(file, JudgeSettings(), 30.0))["longest row"]
    assert (fits.level, "are left for a candidate" in fits.message) == ("ok", True)
    tight = looked(judge.url, rows=longest_rows(file, JudgeSettings(), 30.0, 40_000))["longest row"]
    assert (tight.level, "data.max_response_length" in tight.message) == ("warning", True)


def test_a_file_with_candidates_is_counted_with_them(judge, write):
    file = write("short", candidate=["long " * 30_000])
    found = looked(judge.url, rows=longest_rows(file, JudgeSettings(), 30.0))["longest row"]
    assert (found.level, "its candidate loses its middle" in found.message) == ("warning", True)


def test_where_the_server_does_not_count_the_rule_of_thumb_does(write):
    file = write("long " * 30_000)
    with PlainServer(WELL) as server:
        found = looked(server.url, rows=longest_rows(file, JudgeSettings(), 30.0))["longest row"]
    assert (found.level, "by 4 bytes a token" in found.message) == ("error", True)


def metrics(switch="", queries="", hits=""):
    lines = ["# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig"]
    if switch:
        lines.append(f'vllm:cache_config_info{{block_size="16",enable_prefix_caching="{switch}",engine="0"}} 1.0')
    if queries:
        lines.append(f'vllm:prefix_cache_queries_total{{engine="0"}} {queries}')
        lines.append(f'vllm:prefix_cache_hits_total{{engine="0"}} {hits}')
    return {**WELL, "/metrics": (200, "\n".join([*lines, ""]).encode())}


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        (metrics("False", "0.0", "0.0"), "warning", "--enable-prefix-caching"),
        (metrics("True", "1000.0", "750.0"), "ok", "75% of the prompts' tokens"),
        (metrics("", "1000.0", "10.0"), "ok", "on, as it seems"),
        (WELL, "skipped", "do not tell"),
    ],
)
def test_prefix_caching_is_read_from_vllm_s_metrics(answers, level, words):
    with PlainServer(answers) as server:
        found = looked(server.url)["prefix cache"]
    assert (found.level, words in found.message + found.fix) == (level, True)


@pytest.mark.parametrize(("off", "level"), [(True, "warning"), (False, "ok"), (None, "skipped")])
def test_prefix_caching_is_read_from_what_sglang_says_of_itself(off, level):
    cards = {"data": [{"id": "Qwen/Qwen3-32B", "owned_by": "sglang"}]}
    info = {"version": "0.5.15"} if off is None else {"version": "0.5.15", "disable_radix_cache": off}
    with PlainServer({**WELL, "/v1/models": (200, cards), "/server_info": (200, info)}) as server:
        assert looked(server.url)["prefix cache"].level == level


def test_all_servers_of_a_registry_and_a_list_are_looked_at_each_once(judge, tmp_path):
    gone = f"http://127.0.0.1:{free_port()}"
    for name, value in {"aaaaaaaa": judge.url, "bbbbbbbb": gone, "cccccccc": "no address"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "ENTRY").write_text(value)
    registry = f"file://{tmp_path}"
    found = list(Examination(Setup({"server_url": [judge.url, registry]})).findings())
    assert list(dict.fromkeys(each.where for each in found if each.is_server)) == [judge.url, gone]
    about = {each.finding.name: each.finding for each in found if each.where == "registry"}
    assert (about["registry"].level, "lists 2" in about["registry"].message) == ("ok", True)
    assert (about["registry values"].level, "'no address'" in about["registry values"].message) == ("warning", True)


def test_the_servers_of_routes_are_looked_at_with_the_routes_own_settings(judge):
    with JudgeServer(model="small", api_key="of-the-route", judge="REWARD: 1.0") as other:
        profile = {"server_url": other.url, "model_name": "small", "api_key": "of-the-route"}
        routes = {"maths": profile, "physics": dict(profile), "chemistry": {}}
        found = list(Examination(Setup({"server_url": judge.url, "routes": routes})).findings())
    keys = {each.where: each.finding.message for each in found if each.finding.name == "key"}
    assert keys == {judge.url: "none is set, and none is wanted", f"{other.url} (route maths)": "the key is accepted"}
    assert not [each for each in found if each.finding.level == "error"]


def test_a_route_of_no_use_is_an_error_of_the_settings():
    found = Examination(Setup({"routes": {"maths": {"temperature": "hot"}}})).findings()
    (finding,) = (each.finding for each in found if each.finding.level == "error")
    assert (finding.name, "in routes: maths" in finding.message) == ("settings", True)


def test_a_registry_that_lists_nobody_or_cannot_be_asked_is_an_error(judge, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for url, words in ((f"file://{tmp_path}/none", "lists no server"), (f"file://{tmp_path}/file/x", "")):
        found = list(Examination(Setup({"server_url": [url]})).findings())
        (finding,) = (each.finding for each in found if each.where == "registry")
        assert (finding.level, words in finding.message) == ("error", True)


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["lines", "json"])
def test_an_interrupt_ends_the_command_soon_and_shows_what_was_found(as_json, judge):
    code = "import typer; from llm_judge_remote.cli.doctor import doctor; typer.run(doctor)"
    judge.pause()
    command = [sys.executable, "-c", code, "--server-url", judge.url, "--timeout", "60", *as_json]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        judge.wait_until(lambda stats: stats.requests >= 1)
        process.send_signal(2)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    if as_json:
        told = json.loads(out)
        assert (told["stopped"], told["exit_code"]) == (True, 130)
        assert "TCP" in {each["name"] for each in told["findings"]}
    else:
        assert "TCP" in out
        assert "Stopped. So far: 0 errors" in out
