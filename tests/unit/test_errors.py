import inspect
import pickle

import pytest

import llm_judge_remote
from llm_judge_remote import errors
from llm_judge_remote.errors import JudgeError, JudgingFailedError, OverloadedError
from llm_judge_remote.judgement import Judgement, Outcome

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, JudgeError)]


def made(cls):
    return cls("words", status=503) if issubclass(cls, errors.StatusError) else cls("words")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_a_pickle_with_all_it_knows(cls):
    error = made(cls)
    error.attempts = 3
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert str(copy) == "words"
    assert vars(copy) == vars(error)


def test_an_error_keeps_its_judgements_and_its_retry_after_through_a_pickle():
    failed = JudgingFailedError("x", judgements=[Judgement(0.0, Outcome.FAILED, "why")])
    assert pickle.loads(pickle.dumps(failed)).judgements == failed.judgements
    assert pickle.loads(pickle.dumps(OverloadedError("x", status=429, retry_after=2.0))).retry_after == 2.0


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_public_and_stands_in_the_tree(cls):
    assert cls.__name__ in errors.__all__
    assert getattr(llm_judge_remote, cls.__name__) is cls
    assert cls.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (401, False), (404, False), (408, True), (429, True), (500, True), (503, True)]
)
def test_a_client_s_error_is_not_retried_but_408_and_429_are(status, again):
    assert errors.StatusError("x", status=status).retryable is again
