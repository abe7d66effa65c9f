import re

import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.prompts.library import TemplateLibrary, template_names
from llm_judge_remote.prompts.template import PromptTemplate
from llm_judge_remote.scoring.reward_line import ScoreRange, parse_verdict

TEXTS = {"problem": "What is 2+2?", "reference": "It is 4.", "candidate": "I say 5."}


def library(**measures):
    return TemplateLibrary(measures)


def user_text(template, **texts):
    return template.messages(**{**TEXTS, **texts})[-1]["content"]


def test_the_named_templates_are_the_four():
    assert template_names() == ("binary", "concise", "default", "detailed")


@pytest.mark.parametrize("name", template_names())
def test_a_named_template_puts_the_candidate_after_all_that_a_group_shares_and_the_output_instruction_last(name):
    text = user_text(library().get(name))
    assert text.index("What is 2+2?") < text.index("It is 4.") < text.index("I say 5.") < text.rindex("REWARD: <")
    assert text.splitlines()[-1].startswith("REWARD: <")


@pytest.mark.parametrize("name", template_names())
def test_a_group_shares_its_prompt_to_the_byte_up_to_the_candidate(name):
    template = library().get(name)
    one, other = (template.messages(**{**TEXTS, "candidate": text}) for text in ("first", "another one"))
    assert one[:-1] == other[:-1]
    shared = one[-1]["content"].partition("<candidate_")[0]
    assert "It is 4." in shared
    assert other[-1]["content"].startswith(shared)


@pytest.mark.parametrize("name", template_names())
def test_a_row_without_a_problem_has_no_empty_problem_in_its_prompt(name):
    assert "<problem>" not in user_text(library().get(name), problem="")


def test_a_template_that_asks_for_the_verdict_alone_has_a_grammar_whose_every_reply_is_a_verdict():
    grammars = {name: library().get(name).grammar for name in template_names()}
    assert grammars["detailed"] is None
    for name in ("default", "concise"):
        for reply in ("REWARD: 0", "REWARD: 0.85", "REWARD: 1.0", "REWARD: 1"):
            assert re.fullmatch(grammars[name], reply)
            assert isinstance(parse_verdict(reply, ScoreRange()), float)
        for reply in ("REWARD: 1.1", "REWARD: 2", "0.5", "REWARD: 0.5 "):
            assert not re.fullmatch(grammars[name], reply)
    assert re.fullmatch(grammars["binary"], "REWARD: 1")
    assert not re.fullmatch(grammars["binary"], "REWARD: 0.5")


def test_a_text_with_single_braces_is_replaced_in_one_pass_and_other_braces_stay():
    template = library().get('{"json": {x}} {PROBLEM} | {REFERENCE_SOLUTION} | {CANDIDATE_SOLUTION} {unknown}')
    text = user_text(template, problem="{REFERENCE_SOLUTION}", reference="{CANDIDATE_SOLUTION}")
    assert text.startswith('{"json": {x}} {REFERENCE_SOLUTION} | {CANDIDATE_SOLUTION} | <candidate_')
    assert text.endswith("{unknown}")


def test_a_placeholder_may_stand_at_either_end_twice_and_next_to_another():
    template = library().get("{PROBLEM}{PROBLEM}{CANDIDATE_SOLUTION}{REFERENCE_SOLUTION}")
    text = user_text(template)
    assert text.startswith("What is 2+2?What is 2+2?<candidate_")
    assert text.endswith(">It is 4.")


def test_a_text_with_double_braces_is_jinja():
    template = library().get("{% if PROBLEM %}P: {{ PROBLEM }}{% endif %} {{ CANDIDATE_SOLUTION }}")
    assert user_text(template, problem="{{ 1+1 }}").startswith("P: {{ 1+1 }} <candidate_")


def test_a_jinja_text_cannot_reach_what_python_holds():
    template = library().get("{{ CANDIDATE_SOLUTION }}{{ PROBLEM.__class__.__mro__ }}")
    with pytest.raises(ConfigError, match="SecurityError"):
        user_text(template)


def test_front_matter_declares_the_range_and_the_system_text():
    template = library().get("---\nrange: [1, 10]\nsystem: Be strict.\n---\n{CANDIDATE_SOLUTION}")
    assert (template.low, template.high) == (1.0, 10.0)
    assert template.messages(**TEXTS)[0] == {"role": "system", "content": "Be strict."}


@pytest.mark.parametrize(
    "source",
    [
        "---\r\nrange: [0, 10]\r\n---\r\n{CANDIDATE_SOLUTION}",
        "\n---\nrange: [0, 10]\n---\n{CANDIDATE_SOLUTION}",
        "--- \nrange: [0, 10]\nsystem:\nverdict:\n---  \n{CANDIDATE_SOLUTION}",
    ],
    ids=["carriage returns", "a blank line before", "blanks behind, and empty fields"],
)
def test_front_matter_is_read_however_it_was_typed(source):
    template = library().get(source)
    assert (template.high, template.system, template.grammar) == (10.0, "", None)
    assert user_text(template).startswith("<candidate_")


def test_front_matter_may_be_empty():
    assert library().get("---\n---\n{CANDIDATE_SOLUTION}").high == 1.0


@pytest.mark.parametrize("source", ["{PROBLEM} {CANDIDATE_SOLUTION}", "{{ PROBLEM }} {{ CANDIDATE_SOLUTION }}"])
def test_a_group_shares_its_prompt_in_templates_of_the_user_as_well(source):
    one, other = (user_text(library().get(source), candidate=text) for text in ("first", "another one"))
    assert one.partition("<candidate_")[0] == other.partition("<candidate_")[0] == "What is 2+2? "


BAD = [
    ("nosuch", "binary, concise, default, detailed"),
    ("{PROBLEM} alone", "no place for CANDIDATE_SOLUTION"),
    ("{{ CANDIDATE_SOLUTION }} {{ WHO }}", "unknown placeholder WHO"),
    ("{{ CANDIDATE_SOLUTION }} {% if", "given as text"),
    ("---\nrange: [1, 0]\n---\n{CANDIDATE_SOLUTION}", "range is two numbers"),
    ("---\nrange: high\n---\n{CANDIDATE_SOLUTION}", "range is two numbers"),
    ("---\nscale: 3\n---\n{CANDIDATE_SOLUTION}", "takes range, system, verdict"),
    ("---\nrange: [0, .inf]\n---\n{CANDIDATE_SOLUTION}", "range is two numbers"),
    ("---\nverdict: [01]\n---\n{CANDIDATE_SOLUTION}", "verdict is a text"),
    ("---\nverdict: '('\n---\n{CANDIDATE_SOLUTION}", "no regular expression"),
    ("{{ PROBLEM }} {CANDIDATE_SOLUTION}", "makes it Jinja"),
    ("---\n: [\n---\n{CANDIDATE_SOLUTION}", "no YAML"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_a_template_that_cannot_work_is_an_error_that_says_why(value, words):
    with pytest.raises(ConfigError, match="prompt_template") as caught:
        library().get(value)
    assert words in str(caught.value)


def test_a_measure_is_computed_only_where_the_text_uses_it():
    calls = []

    def overlap(candidate, reference):
        calls.append((candidate, reference))
        return 0.25

    with_it = PromptTemplate.parse("{OVERLAP} {CANDIDATE_SOLUTION}", "t", {"OVERLAP": overlap})
    without = PromptTemplate.parse("{CANDIDATE_SOLUTION}", "t", {"OVERLAP": overlap})
    user_text(without)
    assert calls == []
    assert user_text(with_it).startswith("0.250 ")
    assert calls == [("I say 5.", "It is 4.")]
