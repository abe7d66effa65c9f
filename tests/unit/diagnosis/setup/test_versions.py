import sys

from llm_judge_remote.diagnosis.setup import versions as module
from llm_judge_remote.diagnosis.setup.versions import versions
from llm_judge_remote.settings import JudgeSettings


def found(settings=None):
    return {each.name: each for each in versions(settings)}


def test_python_this_package_and_the_trainers_are_told_with_their_releases(monkeypatch):
    monkeypatch.setattr(module, "installed_version", lambda name: {"verl": "0.9.1", "skyrl-train": "0.3"}.get(name, ""))
    told = found()
    assert sys.executable in told["python"].message
    assert told["trainer"].message == "verl 0.9.1, SkyRL 0.3 (skyrl-train)"
    monkeypatch.setattr(module, "installed_version", lambda _: "")
    assert found()["trainer"].message.startswith("none of verl, SkyRL, AReaL is installed here")


def test_a_gate_without_what_it_compares_formulas_with_is_a_warning(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: object())
    assert "gate" not in found(JudgeSettings(gate="both"))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    told = found(JudgeSettings(gate="both"))["gate"]
    assert (told.level, "llm-judge-remote[math]" in told.fix) == ("warning", True)
    assert "gate" not in found(JudgeSettings())
