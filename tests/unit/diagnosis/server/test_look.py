"""Looks that need one another, and errors that become findings."""

import pytest

from llm_judge_remote import errors
from llm_judge_remote.diagnosis.server.look import Look, Seen, take
from llm_judge_remote.diagnosis.server.remedies import remedy


def taken(*looks):
    begun, found = [], []
    take(looks, "subject", begin=begun.append, found=found.append)
    return begun, {finding.name: finding for finding in found}


def fine(_):
    return Seen("ok", "well")


def failing(_):
    raise errors.AuthenticationError("no key", status=401, server="http://judge")


def test_a_look_that_fails_keeps_only_those_from_being_taken_that_need_it():
    begun, found = taken(
        Look("key", failing), Look("models", fine, ("key",)), Look("rows", fine, ("models",)), Look("clock", fine)
    )
    assert begun == ["key", "clock"]
    assert {name: each.level for name, each in found.items()} == {
        "key": "error",
        "models": "skipped",
        "rows": "skipped",
        "clock": "ok",
    }


def test_what_is_skipped_names_the_look_that_failed_first():
    _, found = taken(Look("key", failing), Look("models", fine, ("key",)), Look("rows", fine, ("models",)))
    assert found["rows"].message.endswith("error above: key")


def test_a_warning_and_what_need_not_be_looked_at_keep_nobody_from_looking():
    _, found = taken(
        Look("a", lambda _: Seen("warning", "slow")),
        Look("b", lambda _: Seen("skipped", "off in the settings")),
        Look("c", fine, ("a", "b")),
    )
    assert found["c"].level == "ok"


def test_an_error_becomes_a_finding_with_its_words_and_what_to_do():
    _, found = taken(Look("key", failing))
    assert (found["key"].message, "LLM_JUDGE_SERVER_API_KEY" in found["key"].fix) == ("no key", True)


class Twice:
    """A look that raises these errors, one each time, and then is well."""

    def __init__(self, *raised):
        self.raised = list(raised)
        self.count = 0

    def __call__(self, _):
        self.count += 1
        if self.raised:
            raise self.raised.pop(0)
        return Seen("ok", "well")


def test_a_failure_that_passes_is_a_warning_that_tells_of_it():
    _, found = taken(Look("chat", Twice(errors.StatusError("a hiccup", status=502))))
    assert (found["chat"].level, "well; at the first attempt it failed: a hiccup" in found["chat"].message) == (
        "warning",
        True,
    )


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (errors.ConnectionDroppedError("dropped"), 2),
        (errors.InvalidReplyError("html"), 2),
        (errors.StatusError("broken", status=500), 2),
        (errors.RequestRejectedError("bad", status=422), 1),
        (errors.AttemptTimeoutError("late"), 1),
        (errors.ServerUnavailableError("refused"), 1),
    ],
)
def test_a_look_is_taken_a_second_time_only_where_that_is_quick_and_may_help(error, attempts):
    look = Twice(error, error, error)
    _, found = taken(Look("chat", look))
    assert (look.count, found["chat"].level) == (attempts, "error")


def test_a_bug_is_no_finding():
    with pytest.raises(ZeroDivisionError):
        taken(Look("bug", lambda _: 1 / 0))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.ServerUnavailableError("refused"), "start the server"),
        (errors.ServerUnavailableError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "http://"),
        (errors.ConnectionDroppedError("dropped"), "https"),
        (errors.AttemptTimeoutError("late"), "timeout"),
        (errors.UnknownModelError("which?", status=404), "--model"),
        (errors.OverloadedError("busy", status=503), "loaded"),
        (errors.PromptTooLongError("long", status=400), "--max-model-len"),
        (errors.InvalidReplyError("html"), "OpenAI"),
        (errors.IncapableError("free"), "structured_output"),
        (errors.RegistryError("gone"), "registry"),
        (errors.StatusError("broken", status=500), "log"),
        (errors.RequestRejectedError("bad", status=422), "its words"),
        (errors.JudgeError("else"), ""),
    ],
)
def test_each_error_has_its_own_remedy(error, words):
    assert words in remedy(error)
    assert bool(words) == bool(remedy(error))
