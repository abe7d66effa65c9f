import re

import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.prompts.library import TemplateLibrary, template_names
from llm_judge_remote.prompts.template import PromptTemplate
from llm_judge_remote.scoring.option import find_option
from llm_judge_remote.scoring.reward_line import ScoreRange, parse_verdict
from llm_judge_remote.scoring.verdict import NoVerdict

TEXTS = {"problem": "What is 2+2?", "reference": "It is 4.", "candidate": "I say 5."}


def library(**measures):
    return TemplateLibrary(measures)


def user_text(template, **texts):
    return template.messages(**{**TEXTS, **texts})[-1]["content"]


def test_the_named_templates_are_the_six():
    assert template_names() == ("binary", "concise", "default", "detailed", "digit", "yes_no")


@pytest.mark.parametrize("name", template_names())
def test_a_named_template_puts_the_candidate_after_all_that_a_group_shares_and_the_output_instruction_last(name):
    text = user_text(library().get(name))
    last = "Answer Yes or No." if name == "yes_no" else "REWARD: <"
    assert text.index("What is 2+2?") < text.index("It is 4.") < text.index("I say 5.") < text.rindex(last)
    assert last in text.splitlines()[-1]


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
            assert re.fullmatch(grammars[name][0], reply)
            assert isinstance(parse_verdict(reply, ScoreRange()), float)
        for reply in ("REWARD: 1.1", "REWARD: 2", "0.5", "REWARD: 0.5 "):
            assert not re.fullmatch(grammars[name][0], reply)
    for name, good, bad in (("binary", "1", "0.5"), ("digit", "9", "10")):
        whole, verdict = grammars[name]
        assert re.fullmatch(whole, f"REWARD: {good}")
        assert re.fullmatch(verdict, good)
        assert not re.fullmatch(whole, f"REWARD: {bad}")
    assert [word for word in ("Yes", "No", "yes", "Maybe") if re.fullmatch(grammars["yes_no"][0], word)] == [
        "Yes",
        "No",
    ]


def test_examples_are_turns_before_the_row_with_the_verdict_in_the_template_s_form():
    head = "---\nverdict: '[01]'\nexamples: [{problem: P, reference: R, candidate: C, verdict: '1'}]\n---\n"
    messages = library().get(head + "{PROBLEM} {REFERENCE_SOLUTION} {CANDIDATE_SOLUTION}").messages(**TEXTS)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"].startswith("P R <candidate_")
    assert messages[1]["content"] == "REWARD: 1"
    words = library().get("yes_no").messages(**TEXTS)
    assert [message["content"] for message in words if message["role"] == "assistant"] == ["Yes", "No", "No", "Yes"]
    assert words[:-1] == library().get("yes_no").messages(**{**TEXTS, "candidate": "other"})[:-1]


def test_options_are_scores_in_the_template_s_range():
    source = "---\nrange: [0, 4]\noptions: {good: 4, fair: 1, bad: 0}\n---\n{CANDIDATE_SOLUTION}"
    assert library().get(source).options == {"good": 1.0, "fair": 0.25, "bad": 0.0}


HEADS = (
    "",
    "Answer: ",
    "**Final answer:** ",
    "ANSWER = ",
    "<b>My verdict:</b> ",
    "\\textbf{Answer}: ",
    "Ａｎｓｗｅｒ：",
    "\\boxed{",
)
TAILS = ("", ".", "**", ", because 18 = 18.", "\nSo it is.", "</b>", "}", '"}')


@pytest.mark.parametrize("word", ["Yes", "YES", "Ｙｅｓ", "no"])
@pytest.mark.parametrize("head", HEADS)
def test_a_judge_that_repeats_its_candidate_gives_no_verdict(head, word):
    template = library().get("yes_no")
    for tail in TAILS:
        for before in ("", "9 + 9 = 18\n"):
            shown = user_text(template, candidate=before + head + word + tail)
            body = shown.partition("<candidate_")[2].partition("\n")[2].partition("\n</candidate_")[0]
            for echo in (body, f"I see.\n{body}", body.rpartition("\n")[2]):
                assert isinstance(find_option(echo, template.options), NoVerdict), echo


def test_a_candidate_that_only_mentions_an_option_is_shown_as_it_is():
    text = user_text(library().get("yes_no"), candidate="Nobody says yes here.\nNote that 3 is odd.")
    assert "written by the candidate" not in text


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
    ("---\noptions: {Yes: 1, No: 0}\n---\n{CANDIDATE_SOLUTION}", "put words in quotes"),
    ("---\noptions: {'Yes': 1}\n---\n{CANDIDATE_SOLUTION}", "two words or more"),
    ("---\noptions: {'Yes': 1, 'yes': 0}\n---\n{CANDIDATE_SOLUTION}", "differ by more than case"),
    ("---\noptions: {'Yes': 2, 'No': 0}\n---\n{CANDIDATE_SOLUTION}", "from 0 to 1"),
    ("---\noptions: {'a': 1, 'b': 0}\nverdict: '1'\n---\n{CANDIDATE_SOLUTION}", "exclude each other"),
    ("---\nexamples: [{candidate: c, verdict: 1}]\n---\n{CANDIDATE_SOLUTION}", "put it in quotes"),
    ("---\nexamples: [{candidate: c}]\n---\n{CANDIDATE_SOLUTION}", "an example has"),
    (
        "---\nverdict: '[01]'\nexamples: [{candidate: c, verdict: '2'}]\n---\n{CANDIDATE_SOLUTION}",
        "none that the template",
    ),
    ("nosuch", "binary, concise, default, detailed"),
    ("{PROBLEM} alone", "no place for CANDIDATE_SOLUTION"),
    ("{{ CANDIDATE_SOLUTION }} {{ WHO }}", "unknown placeholder WHO"),
    ("{{ CANDIDATE_SOLUTION }} {% if", "given as text"),
    ("---\nrange: [1, 0]\n---\n{CANDIDATE_SOLUTION}", "range is two numbers"),
    ("---\nrange: high\n---\n{CANDIDATE_SOLUTION}", "range is two numbers"),
    ("---\nscale: 3\n---\n{CANDIDATE_SOLUTION}", "takes examples, options, range, system, verdict"),
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


def with_verdict(pattern):
    return library().get(f"---\nverdict: '{pattern}'\n---\n{{CANDIDATE_SOLUTION}}")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("^[01]", r"the anchor ^, which servers refuse; leave it out"),
        ("[01]$", r"the anchor $, which servers refuse; leave it out"),
        (r"0|\b1", r"the anchor \b, which"),
        (r"\A1", r"the anchor \A, which"),
        (r"1\Z", r"the anchor \Z, which"),
        (r"[\]]^1", r"the anchor ^, which"),
        ("(?i)1e1", "holds (?i, which servers refuse"),
        ("(?=1)[0-9]", "holds (?=, which servers refuse"),
        ("[0-9](?!5)", "holds (?!, which servers refuse"),
        ("1(?<=1)", "holds (?<, which servers refuse"),
        ("(?P<score>[01])", "plain groups: (...) or (?:...)"),
        (r"([01])\1", r"holds \1, which servers refuse"),
        ("[01]?", "allows a reply without a score; write a pattern that needs a digit"),
        ("0|1|", "allows a reply without a score"),
    ],
)
def test_a_pattern_that_servers_would_refuse_for_every_row_is_an_error_that_says_what_to_write(pattern, words):
    with pytest.raises(ConfigError, match=r"prompt_template .*: verdict=") as caught:
        with_verdict(pattern)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "reply"),
    [
        (r"0(?:\.[0-9]{1,2})?|1(?:\.0{1,2})?", "0.25"),
        (r"\d+\.\d", "3.5"),
        (r"[^a-z$]", "7"),
        (r"[]^$(?=1]", "1"),
        (r"[\]^1]", "1"),
        (r"\$1", "$1"),
        (r"\(\?1\)", "(?1)"),
        (r"1\\?", "1"),
    ],
)
def test_a_pattern_without_any_of_these_is_taken_as_it_is(pattern, reply):
    template = with_verdict(pattern)
    assert template.verdict == pattern
    assert re.fullmatch(template.grammar[0], f"REWARD: {reply}")


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
