import importlib.util
import logging
import random
import subprocess
import sys
import threading
import time

import pytest

from llm_judge_remote.rules.gate import rule_verdict
from llm_judge_remote.rules.symbolic import symbolic_verdict

installed = pytest.mark.skipif(importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed")

EQUAL = [
    ("2\\sqrt{3}", "\\sqrt{12}"),
    ("2^{10}", "1024"),
    ("0.1\\pi", "\\frac{\\pi}{10}"),
    ("6-5i", "-5i+6"),
    ("5", "\\sqrt{25}"),
    ("n(n+1)/2", "\\frac{n^2+n}{2}"),
    ("\\frac{1}{2}x", "x/2"),
    ("(x-1)(x+1)", "x^2-1"),
    ("-\\frac{\\sqrt{3}}{3}", "-\\frac{1}{\\sqrt{3}}"),
    ("\\frac{x^2-1}{x-1}", "x+1"),
    ("(x+1)^2", "x^2+2x+1"),
]
DIFFERENT = [("2\\sqrt{3}", "\\sqrt{13}"), ("2k+2", "2k+3"), ("\\pi", "5"), ("x^2", "x^3"), ("-\\sqrt{2}", "\\sqrt{2}")]
OPEN = [
    ("3.14", "\\pi"),
    ("94", "30\\pi"),
    ("0.33x", "\\frac{x}{3}"),
    ("\\sqrt{x^2}", "x"),
    ("2k+2", "2n+2"),
    ("x", "5"),
    ("(1+i)^2", "2i"),
    ("6-5i", "6+5i"),
    ("R", "r"),
    ("\\frac{1}{0}", "1"),
    ("x(2)", "2x"),
    ("words", "words and more"),
    ("90", "\\frac{\\pi}{2}"),
    ("B", "2B"),
    ("5-6-7", "-8"),
]
MISREAD = [
    ("2(3)", "5"),
    ("(2)(3)", "5"),
    ("2\\frac{1}{2}x", "x"),
    ("1/2x", "\\frac{1}{2x}"),
    ("3/4/5", "3/20"),
    ("5-6", "-1"),
    ("(B)12", "12B"),
]
HEAVY = [
    ("9^{9}^{9}", "1"),
    ("9^{9^{9}}", "1"),
    ("(((9^{9})^{9})^{9})", "3"),
    ("9^{99}", "1"),
    ("(x+y)^{99}", "x"),
    ("2^{x}", "x"),
    ("100!", "1"),
    ("\\sum_{n=1}^{9}n", "45"),
    ("\\int x", "x"),
    ("((((((((((x))))))))))", "x"),
    ("x+" * 40 + "x", "41x"),
    ("9" * 40, "x"),
]


@installed
@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_formulas_are_the_same_in_both_directions(one, other):
    assert symbolic_verdict(one, other) is symbolic_verdict(other, one) is True


@installed
@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_formulas_with_other_values_differ_in_both_directions(one, other):
    assert symbolic_verdict(one, other) is symbolic_verdict(other, one) is False


@installed
@pytest.mark.parametrize(("one", "other"), OPEN)
def test_what_depends_on_how_it_is_meant_is_open(one, other):
    assert symbolic_verdict(one, other) is symbolic_verdict(other, one) is None


@installed
@pytest.mark.parametrize(("one", "other"), MISREAD)
def test_what_math_verify_reads_in_its_own_way_is_not_shown_to_it(one, other):
    assert symbolic_verdict(one, other) is symbolic_verdict(other, one) is None


@pytest.mark.parametrize(("one", "other"), HEAVY)
def test_what_could_be_computed_for_hours_is_not_begun(one, other):
    began = time.process_time()
    assert symbolic_verdict(one, other) is symbolic_verdict(other, one) is None
    assert time.process_time() - began < 1


@installed
def test_random_formulas_are_compared_in_bounded_time():
    # The slowest take about a second, the first of them because sympy is still being imported.
    draw = random.Random(7)
    for _ in range(60):
        one = formula(draw, 3)
        began = time.process_time()
        assert symbolic_verdict(one, f"({one})+x-x") is not False
        symbolic_verdict(one, formula(draw, 3))
        assert time.process_time() - began < 30


def formula(draw, depth):
    if not depth or draw.random() < 0.2:
        return draw.choice(["x", "y", "n", "2", "7", "999999937", "0.25", "\\pi"])
    one, other = formula(draw, depth - 1), formula(draw, depth - 1)
    return draw.choice(
        [
            f"{one}+{other}",
            f"({one})({other})",
            f"\\frac{{{one}}}{{{other}}}",
            f"\\sqrt{{{one}+{other}}}",
            f"({one}+{other})^{{{draw.choice([2, 4, 16, -2])}}}",
        ]
    )


@installed
def test_it_compares_in_several_threads_at_once():
    verdicts, pairs = [], EQUAL * 3 + DIFFERENT

    def work():
        verdicts.append([symbolic_verdict.__wrapped__(*pair) for pair in pairs])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [[True] * len(EQUAL) * 3 + [False] * len(DIFFERENT)] * 3


@installed
def test_nothing_is_said_about_timeouts(caplog):
    import math_verify.grader  # noqa: PLC0415 (it is optional)
    import math_verify.parser  # noqa: PLC0415

    math_verify.parser.TIMEOUT_WARNING_SHOWN = math_verify.grader.TIMEOUT_WARNING_SHOWN = False
    with caplog.at_level(logging.DEBUG):
        assert symbolic_verdict.__wrapped__("3\\sqrt{3}", "\\sqrt{27}") is True
    assert not caplog.records


@installed
def test_the_gate_accepts_and_rejects_formulas_with_it():
    assert rule_verdict("So it is \\boxed{\\sqrt{12}}.", ["2\\sqrt{3}"]) is True
    assert rule_verdict("So it is \\boxed{\\sqrt{13}}.", ["2\\sqrt{3}"]) is False
    assert rule_verdict("So it is \\boxed{(1, \\sqrt{12})}.", ["(1, 2\\sqrt{3})"]) is True
    assert rule_verdict("So it is \\boxed{y = 3 + 2x}.", ["y=2x+3"]) is True


WITHOUT = """
import sys
sys.modules["math_verify"] = None  # importing it fails
from llm_judge_remote.rules.gate import rule_verdict
print(rule_verdict("\\\\boxed{\\\\sqrt{12}}", ["2\\\\sqrt{3}"]), rule_verdict("\\\\boxed{0.5}", ["1/2"]))
"""


def test_without_math_verify_formulas_are_open_and_numbers_are_not():
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert run.stdout == "None True\n", run.stderr


def test_sympy_is_not_loaded_before_a_formula_is_compared():
    code = "import sys, llm_judge_remote.rules.gate as g; g.rule_verdict('18', ['18']); print('sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "False\n", run.stderr
