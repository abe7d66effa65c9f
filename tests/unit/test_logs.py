"""Warnings that repeat themselves."""

import logging
import uuid

import pytest

from llm_judge_remote.logs import Sparing, logger


@pytest.fixture
def heard():
    """A logger that is nobody else's, its clock, and what it says."""

    class Heard(logging.Handler):
        def __init__(self):
            super().__init__()
            self.now = 0.0
            self.lines = []
            self.log = logging.getLogger(uuid.uuid4().hex)
            self.log.propagate = False
            self.log.addFilter(Sparing(2, 60.0, lambda: self.now))
            self.log.addHandler(self)

        def emit(self, record):
            self.lines.append(record.getMessage())

    return Heard()


def test_so_many_of_a_kind_are_said_and_the_next_one_after_a_while_tells_how_many_were_not(heard):
    for number in range(5):
        heard.log.warning("server %s is down", number)
    assert heard.lines == ["server 0 is down", "server 1 is down"]
    heard.now = 60.0
    heard.log.warning("server %s is down", 7)
    heard.log.warning("server %s is down", 8)
    assert heard.lines[2:] == ["server 7 is down (3 more like it since were not logged)", "server 8 is down"]


def test_one_kind_does_not_silence_another(heard):
    for _ in range(3):
        heard.log.warning("down")
        heard.log.error("a bug")
    assert heard.lines == ["down", "a bug", "down", "a bug"]


def test_what_was_not_silenced_is_said_as_it_is(heard):
    heard.log.warning("100 %% of %s", "them")
    heard.now = 100.0
    heard.log.warning("100 %% of %s", "them")
    assert heard.lines == ["100 % of them"] * 2


def test_what_is_no_warning_is_not_counted(heard):
    heard.log.setLevel(logging.DEBUG)
    for _ in range(9):
        heard.log.info("woken")
    assert heard.lines == ["woken"] * 9


def test_it_can_begin_anew(heard):
    for _ in range(3):
        heard.log.warning("down")
    heard.log.filters[0].forget()
    heard.log.warning("down")
    assert heard.lines == ["down"] * 3


def test_a_module_s_logger_is_python_s_own_and_is_made_sparing_once():
    name = f"llm_judge_remote.{uuid.uuid4().hex}"
    assert logger(name) is logger(name) is logging.getLogger(name)
    assert [type(each) for each in logger(name).filters] == [Sparing]
