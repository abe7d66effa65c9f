"""One row, judged as in training: whether a verdict comes, where it arrives, and whether the model thinks."""

from __future__ import annotations

import re
import time

from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.submission import Job
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.errors import AttemptTimeoutError, ServerError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.finding import Finding
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.scoring.thinking import strip_thinking
from llm_judge_remote.settings import JudgeSettings

__all__ = ["look_at_reply", "look_at_thinking"]

_SAMPLE = Sample(
    problem="What is 2 + 2?", candidate="2 + 2 is 4.", references=("2 + 2 is 4.",), data_source="doctor", overrides={}
)
_TAG = re.compile(r"</?[^<>]*>|\[/?THINK\]|◁/?think▷")
_SHOWN = 60


def look_at_reply(visit: Visit) -> Finding:
    """Whether a right candidate gets its verdict, and where that arrives."""
    if visit.is_asleep:
        return Finding("reply", "skipped", "the server sleeps")
    began = time.perf_counter()
    exchange = Exchange(visit.connection())
    try:
        ruling = visit.ruling = _judged(visit, exchange)
    finally:
        exchange.close()
    took = time.perf_counter() - began
    reply, error = visit.reply, ruling.error
    instead = f" (asked of {visit.model})" if visit.model != visit.settings.model_name != "auto" else ""
    if reply is None:
        if isinstance(error, AttemptTimeoutError) and visit.timeout < visit.settings.timeout:
            words = (
                f"a row was not judged within {visit.timeout:g} s; in training it may take {visit.settings.timeout:g}"
            )
            return Finding("reply", "warning", f"{words}{instead}", "see how busy the server is, or give --timeout")
        return Finding("reply", "error", f"a row was not judged{instead}: {error}", "see the server's log")
    if not reply.content.strip() and reply.reasoning.strip() and reply.finish_reason != "length":
        words = (
            f"the answer arrives in the field of the reasoning, and the content is empty: {_excerpt(reply.reasoning)}"
        )
        fix = "start the server with the --reasoning-parser that is its model's (Qwen3: qwen3), or with none"
        return Finding("reply", "error", f"{words}{instead}", fix)
    if error is not None:
        fix = "see `llm-judge-remote check`; take another prompt_template or model, or give more max_new_tokens"
        return Finding("reply", "error", f"{error}; the reply: {_excerpt(reply.content)}{instead}", fix)
    words = f"the verdict arrives in the content, after {took:.2f} s: {_excerpt(_after_thought(reply))}"
    if ruling.score is not None and ruling.score < 0.5:
        words = f"a right answer gets the score {ruling.score:g}: {_excerpt(_after_thought(reply))}"
        fix = "read its replies (`llm-judge-remote check`): is this the model, and the template, that is meant?"
        return Finding("reply", "warning", f"{words}{instead}", fix)
    if ruling.attempts > 1:
        words = f"a verdict came only when asked again; the first reply: {_excerpt(reply.content)}"
        return Finding(
            "reply", "warning", f"{words}{instead}", "most rows would be asked twice: see thinking, and max_new_tokens"
        )
    return Finding("reply", "ok", f"{words}{instead}")


def look_at_thinking(visit: Visit) -> Finding:
    """Whether the model thinks, or does not, as the settings have it."""
    reply, is_on = visit.reply, visit.settings.enable_thinking
    if reply is None:
        return Finding("thinking", "skipped", "there is no reply to look at")
    thought, where = _thought(reply)
    if is_on and thought:
        return Finding("thinking", "ok", f"on, as set: the thought arrives {where}")
    if is_on:
        fix = "serve a model that can think, or set enable_thinking: false, which is all the same and says so"
        return Finding("thinking", "warning", "enable_thinking is on, and the model did not think", fix)
    if not thought:
        return Finding("thinking", "ok", "really off, as set: there is no thought in the reply")
    words = f"enable_thinking is off, and the model thinks all the same, {where}: {_excerpt(thought)}"
    fix = (
        "serve a model whose chat template knows enable_thinking, or one that does not think; look for a gateway that "
        "drops chat_template_kwargs; or set enable_thinking: true, which gives the thought its own tokens"
    )
    is_scored = visit.ruling is not None and visit.ruling.error is None
    cost = "it costs time and the reply's tokens" if is_scored else "it took the reply's tokens"
    return Finding("thinking", "warning" if is_scored else "error", f"{words} ({cost})", fix)


def _judged(visit: Visit, exchange: Exchange) -> Ruling:
    """What becomes of the row; the visit keeps the first reply."""
    settings = visit.settings
    values = {name: getattr(settings, name) for name in JudgeSettings.model_fields}
    values |= {"model_name": visit.model, "gate": "off", "votes": 1}
    asked = JudgeSettings.complete(values, "doctor's own row")
    examiner = Examiner(asked, TemplateLibrary(PLACEHOLDERS).get(asked.prompt_template))
    job: Job[Ruling] = examiner.examine(_SAMPLE, _SAMPLE.references[0])
    try:
        request = next(job)
        while True:
            try:
                reply = exchange.send(visit.address, [request], Attempt())[0]
            except ServerError as error:
                request = job.throw(error)
                continue
            if isinstance(reply, ServerError):
                request = job.throw(reply)
                continue
            visit.reply = visit.reply or reply
            request = job.send(reply)
    except StopIteration as ended:
        ruling: Ruling = ended.value
        return ruling


def _thought(reply: ChatReply) -> tuple[str, str]:
    """The thought in a reply, and where it stands; "" without one."""
    if reply.reasoning.strip():
        return reply.reasoning, "in a field of its own"
    rest = strip_thinking(reply.content)
    before = reply.content if rest is None else reply.content[: len(reply.content) - len(rest)]
    return _TAG.sub("", before).strip(), "in the content (the server has no --reasoning-parser)"


def _after_thought(reply: ChatReply) -> str:
    return strip_thinking(reply.content) or reply.content


def _excerpt(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]} ...")
