"""The page: whole in itself, hostile texts harmless, everything named."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from html.parser import HTMLParser

import pytest

from llm_judge_remote.errors import DatasetError
from llm_judge_remote.report import ReportOptions, Wanted, make_report, page, write_page

WRITTEN = datetime(2026, 3, 4, 5, 6, tzinfo=timezone.utc)
EVIL = (
    "</script></style></title><script>alert(1)</script><img src=x onerror=alert(2)> \"' onload=alert(3) {{7*7}}{% x %}"
)


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.raw = {}
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] in ("script", "style") and data.strip():
            self.raw.setdefault(self.elements[-1][0], data)
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def full(write, row):
    """A report with everything, of rows as hostile as can be."""

    def made(evil=EVIL):
        rows = []
        for number in range(60):
            each = row(number, data_source=f"{evil}{number % 2}", candidate=f"{evil} {number}", judge_reply=evil)
            each |= {
                "judge_server": evil,
                "judge_reason": evil,
                "judge_outcome": ["judged"] * 4 + ["fallback", "failed"],
            }
            each["judge_outcome"] = each["judge_outcome"][number % 6]
            each["extra_info"] = {"problem": f"{evil}{number // 4}"}
            rows.append(each)
        others = [{**each, "score": 1 - each["score"]} for each in rows]
        options = ReportOptions(Wanted(label="is_right"), against=write(others, "other.parquet"))
        return make_report(write(rows), options)

    return made


def test_nothing_is_loaded_and_only_the_page_s_own_script_runs(full):
    text = page(full(), WRITTEN)
    parsed = Parsed(text)
    assert len(parsed.all("script")) == len(parsed.all("style")) == 1
    assert not parsed.all("img")
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc")], tag
        for name in ("src", "href", "xlink:href", "action"):
            assert attributes.get(name, "#").startswith("#") or attributes == {"rel": "icon", "href": "data:,"}
    assert "http://" not in parsed.raw["style"] + parsed.raw["script"]
    assert "url(" not in parsed.raw["style"]


def test_the_policy_names_the_script_and_the_style_by_their_hashes(full):
    text = page(full(), WRITTEN)
    [policy] = [each["content"] for each in Parsed(text).all("meta") if "http-equiv" in each]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("script", "style"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_the_policy_comes_before_anything_that_it_is_about(full):
    parsed = Parsed(page(full(), WRITTEN))
    names = [("meta", attributes.get("http-equiv")) if tag == "meta" else tag for tag, attributes in parsed.elements]
    assert names.index(("meta", "Content-Security-Policy")) < min(names.index("style"), names.index("script"))


def test_hostile_texts_are_shown_as_they_are(full):
    text = page(full(), WRITTEN)
    assert "<img src=x" not in text
    assert "{{7*7}}" in "".join(Parsed(text).texts)
    assert "&lt;img src=x onerror=alert(2)&gt;" in text


def test_what_would_not_be_seen_is_written_out(full):
    text = page(full("\x00\x1b[31m\u202e"), WRITTEN)
    assert not re.search("[\x00\x1b\u202e]", text)
    assert "⟨U+202E⟩" in text


def test_every_figure_has_a_title_a_finding_and_axes_with_labels(full):
    report = full()
    text = page(report, WRITTEN)
    figures = list(report.figures)
    assert len(figures) == len({figure.key for figure in figures}) == text.count("<svg")
    for figure in figures:
        assert figure.title
        assert figure.says
        assert re.search(r"\(|score|tokens|seconds|rows|row|data source", figure.x.label), figure.key
        assert figure.y.label
        assert figure.data.rows, figure.key
        assert f'id="{figure.key}-t"' in text
    assert text.count('role="img"') == len(figures)


def test_every_id_is_there_once_and_every_reference_leads_somewhere(full):
    parsed = Parsed(page(full(), WRITTEN))
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_tables_have_captions_and_headings(full):
    parsed = Parsed(page(full(), WRITTEN))
    assert len(parsed.all("table")) == len(parsed.all("caption"))
    assert {heading.get("scope") for heading in parsed.all("th")} == {"col", "row"}


def test_parts_without_their_columns_say_what_would_bring_them(write):
    text = page(make_report(write([{"score": 0.5}]), ReportOptions()), WRITTEN)
    for words in ("--label COLUMN", "--group COLUMN", "no column judge_outcome", "judge_latency_s"):
        assert words in text
    assert text.count('class="missing"') == 5


def test_a_report_of_huge_texts_is_of_bounded_size(write, row):
    rows = [row(number, candidate="x" * 200_000, judge_reply="<" * 200_000) for number in range(40)]
    assert len(page(make_report(write(rows), ReportOptions()), WRITTEN)) < 3_000_000


def test_the_same_file_makes_the_same_page_in_every_process(write, row, tmp_path):
    path = write(row(number, label=number % 3 == 0) for number in range(200))
    program = (
        "import sys, pathlib; from llm_judge_remote.report import *; a, b = map(pathlib.Path, sys.argv[1:]); "
        "write_page(make_report(a, ReportOptions()), a, b)"
    )
    pages = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.html"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, path, out], check=True, env=environment)
        pages.append(out.read_bytes())
    assert pages[0] == pages[1]


def test_the_page_is_written_whole_or_not_at_all(write, row, tmp_path):
    path = write([row(1)])
    report = make_report(path, ReportOptions())
    write_page(report, path, tmp_path / "new" / "report.html")
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["report.html"]
    blocked = tmp_path / "folder"
    blocked.mkdir()
    with pytest.raises(DatasetError, match="cannot be written"):
        write_page(report, path, blocked)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "new", "scored.parquet"]
