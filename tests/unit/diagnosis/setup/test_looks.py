from llm_judge_remote.diagnosis.setup.looks import Look, guarded, take
from llm_judge_remote.errors import ServerError
from llm_judge_remote.finding import Finding


def says(level):
    return lambda subject: Finding("any", level, f"of {subject}")


def fails(error):
    def at(_):
        raise error

    return at


def found(*looks):
    return [(finding.level, finding.message) for finding in take(looks, "it")]


def test_a_look_that_needs_one_with_an_error_is_skipped_with_the_first_cause():
    looks = [
        Look("a", says("error")),
        Look("b", says("ok"), needs=("a",)),
        Look("c", says("ok"), needs=("b",)),
        Look("d", says("ok")),
    ]
    assert [level for level, _ in found(*looks)] == ["error", "skipped", "skipped", "ok"]
    assert found(*looks)[2][1].endswith(": a")


def test_warnings_and_looks_that_need_not_be_taken_stop_nobody():
    looks = [Look("a", says("warning")), Look("b", says("skipped"), ("a",)), Look("c", says("ok"), ("a", "b"))]
    assert [level for level, _ in found(*looks)] == ["warning", "skipped", "ok"]


def test_an_error_of_the_package_is_an_error_and_any_other_is_said_and_stops_nobody():
    looks = [
        Look("a", fails(ServerError("gone"))),
        Look("b", fails(KeyError("x"))),
        Look("c", says("ok"), needs=("b",)),
    ]
    assert found(*looks)[0] == ("error", "gone")
    assert "KeyError: 'x'" in found(*looks)[1][1]
    assert [level for level, _ in found(*looks)] == ["error", "warning", "ok"]


def test_findings_whose_making_fails_end_in_one_that_says_so():
    def made(error):
        yield Finding("a", "ok", "well")
        raise error

    assert [each.level for each in guarded("file", made(ServerError("gone")))] == ["ok", "error"]
    *_, last = guarded("file", made(KeyError("x")))
    assert (last.name, last.level, "KeyError" in last.message) == ("file", "warning", True)
