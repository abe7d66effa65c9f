"""What becomes of a load: who is told what, who is asked again, and what it says about the server."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.chat import ChatReply, Passage
from llm_judge_remote.client.exchange import NoBatchEndpointError
from llm_judge_remote.client.question import Load, Question, has_fresh_server
from llm_judge_remote.client.refusals import Refusals
from llm_judge_remote.client.retry import Retries
from llm_judge_remote.client.submission import Entry
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    JudgeError,
    OverloadedError,
    ServerError,
    ServerUnavailableError,
    StatusError,
)
from llm_judge_remote.servers.server import Server

__all__ = ["Delivery", "Outcome", "settle"]

Outcome = Sequence[ChatReply | ServerError] | ServerError | NoBatchEndpointError
Delivery = tuple[Entry, ChatReply | Exception]

_SILENCE_S = 1.0  # without an answer, before a request that was given up says something of its server
_REFUSED_WAIT_S = 0.5
_LONGEST_REFUSED_WAIT_S = 8.0
_MOST_REJECTIONS = 20  # of one request by busy servers, before they count as failures


def settle(board: Board, load: Load, outcome: Outcome, now: float) -> list[Delivery]:
    """Note what came of a load; what to tell which jobs."""
    board.forget(load)
    for question in load.questions:
        if load in question.loads:
            question.loads.remove(load)
    if load.server is None:  # there was nobody to send it to
        error = load.error or JudgeError("nobody was asked")
        return [told for question in load.questions for told in _fail(board, question, error)]
    if load.attempt.aborted:
        _blame_for_silence(load, load.server, now)
        return []
    if isinstance(outcome, NoBatchEndpointError):
        load.server.lacks_batch_endpoint(now)
        load.server.succeeded(now)
        for question in load.questions:
            question.attempts -= 1
        for question in _unanswered(load):
            board.rush(load.channel, [question])
        return []
    if isinstance(outcome, ServerError):
        return _settle_failure(board, load, load.server, outcome, now)
    return _settle_answer(board, load, load.server, outcome, now)


def _settle_answer(
    board: Board, load: Load, server: Server, results: Sequence[ChatReply | ServerError], now: float
) -> list[Delivery]:
    replies = sum(isinstance(result, ChatReply) for result in results)
    server.succeeded(now)
    server.limit.answered(len(results))
    load.channel.retry_budget.succeeded(replies)
    if len(results) == 1:
        server.latencies.add(now - load.sent_at)
    elif replies:
        server.took_chunk()
    else:
        server.failed_chunk(now)
    told: list[Delivery] = []
    for question, result in zip(load.questions, results, strict=True):
        if question.settled:
            continue
        if isinstance(result, ChatReply):
            board.counters.service.add(now - load.sent_at)
            told += _answer(board, question, result, load, now)
        elif not (question.loads or question.is_rushed):  # asked again by itself, whatever it travelled with
            board.rush(load.channel, [question])
    return told


def _settle_failure(board: Board, load: Load, server: Server, error: ServerError, now: float) -> list[Delivery]:
    error = error.with_traceback(None)  # which would keep the request alive
    is_absent = _is_absent(error, server)
    _blame(board, load, server, error, now, is_absent=is_absent)
    elsewhere = 0.0 if is_absent else _time_to_go_elsewhere(load, server, error, now)
    if elsewhere is not None:
        _send_elsewhere(board, load, server, error, now + elsewhere if elsewhere else 0.0)
        return []
    is_chunk = len(load.questions) > 1
    if is_chunk and _may_be_one_s_fault(error):
        board.counters.split += 1
        questions = _unanswered(load)
        middle = len(questions) // 2
        for half in (questions[:middle], questions[middle:]):
            if half:
                board.rush(load.channel, half)
        return []
    told: list[Delivery] = []
    paid = False
    for question in load.questions:
        if question.settled:
            continue
        question.failed_at.append(server.address)
        for entry in question.entries:
            entry.submission.last_errors[entry.index] = error
        if question.loads or question.is_rushed:
            continue  # the other request for it may still be answered
        has_other = has_fresh_server(question)
        if has_other and isinstance(error, ServerUnavailableError):
            board.rush(load.channel, [question])  # it never left, so it has not lost an attempt
            continue
        wait = _wait_before_retry(question, error, counts=not is_chunk, paid=paid)
        if wait and has_other and len(question.failed_at) == 1:
            wait = 0.0
        paid = True  # a chunk that fails is one request that failed
        if wait is None:
            told += _fail(board, question, error)
        else:
            board.counters.retried += 1
            board.delay(question, now + wait)
    return told


def _blame(board: Board, load: Load, server: Server, error: ServerError, now: float, *, is_absent: bool) -> None:
    """What a failed request says about its server."""
    count = len(load.questions)
    # A refused chunk says nothing about an endpoint that has answered others.
    if count > 1 and not (
        isinstance(error, OverloadedError) or (server.has_batch_endpoint and _may_be_one_s_fault(error))
    ):
        server.failed_chunk(now)
    if isinstance(error, OverloadedError):
        board.counters.rejected += count
        server.limit.rejected(count, load.beside)
        if is_absent or not server.in_flight:  # else it keeps others
            server.failed(now, str(error), is_busy=True, is_trial=load.is_trial, is_absent=is_absent)
    elif error.answered:
        server.succeeded(now)
    else:
        server.failed(now, str(error), is_trial=load.is_trial, is_absent=is_absent)
        if isinstance(error, AttemptTimeoutError):
            server.limit.timed_out(count)
    if not server.has_batch_endpoint and not isinstance(error, (StatusError, AttemptTimeoutError)):
        server.has_batch_endpoint = None  # it may have been restarted, with another version


def _send_elsewhere(board: Board, load: Load, server: Server, error: ServerError, at: float) -> None:
    """It was not the requests' fault: they go to whoever takes them, and keep their attempts for that."""
    questions = _unanswered(load)
    for question in questions:
        question.failed_at.append(server.address)
        question.attempts -= isinstance(error, ServerUnavailableError)  # it was not sent
        for entry in question.entries:
            entry.submission.last_errors[entry.index] = error
    if at:
        for question in questions:
            board.delay(question, at)
    elif questions:
        board.rush(load.channel, questions)


def _blame_for_silence(load: Load, server: Server, now: float) -> None:
    """A request was given up: that says something of a server that has not answered any since it was sent."""
    patience = min(_SILENCE_S, (load.until - load.sent_at) / 2)
    if server.answered_at < load.sent_at <= now - patience:
        error = f"{server.address} had answered nothing for {now - load.sent_at:.3g} s when nobody waited any more"
        server.failed(now, error, is_trial=load.is_trial)
    elif load.is_trial:
        server.abandoned()


def _time_to_go_elsewhere(load: Load, server: Server, error: ServerError, now: float) -> float | None:
    """Seconds until a request that a server refuses may be asked of another, which may serve it; None: of none.

    Where all others are down they are waited for, as in an outage, and the one that refuses is asked ever less.
    """
    channel = load.channel
    if error.retryable or not Refusals.is_one(error) or len(channel.pool.servers) == 1:
        return None
    question = load.questions[0]
    channel.refusals.note(server.address, question.kind, error, now)
    refused = channel.refusals.of(question.kind, now)
    others = [each for each in channel.pool.servers if each.address not in refused]
    if any(each.down_since is None for each in others):
        return 0.0
    began = min(entry.submission.began for each in load.questions for entry in each.entries)
    if not others or channel.pool.patience(now, began) <= 0:
        return None
    return min(_REFUSED_WAIT_S * 2.0 ** len(question.failed_at), _LONGEST_REFUSED_WAIT_S)


def _is_absent(error: ServerError, server: Server) -> bool:
    """Whether the server has yet to start, or to load its model: it refuses, and has never answered."""
    if server.has_answered:
        return False
    return isinstance(error, ServerUnavailableError) or (isinstance(error, StatusError) and error.status == 503)


def _unanswered(load: Load) -> list[Question]:
    """The questions of a load that are not being asked elsewhere already."""
    return [each for each in load.questions if not (each.settled or each.loads or each.is_rushed)]


def _may_be_one_s_fault(error: ServerError) -> bool:
    """Whether a chunk was refused, perhaps for the sake of one conversation; a key or a model is wrong for all."""
    return isinstance(error, StatusError) and error.answered and not error.retryable and error.status not in (401, 404)


def _wait_before_retry(question: Question, error: ServerError, *, counts: bool, paid: bool) -> float | None:
    if question.retries is None:
        question.retries = Retries(question.channel.max_retries, question.channel.retry_budget)
    is_busy = isinstance(error, OverloadedError)
    question.rejections += is_busy
    if is_busy:
        counts = question.rejections > _MOST_REJECTIONS
    return question.retries.after(error, counts=counts, paid=paid)


def _answer(board: Board, question: Question, reply: ChatReply, load: Load, now: float) -> list[Delivery]:
    board.close(question)
    board.counters.hedges_won += load.is_hedge
    if question.hedges:
        load.channel.hedge_budget.ended(won=load.is_hedge)
    told: list[Delivery] = []
    attempts = question.attempts
    for entry in question.entries:
        if entry.submission.closed:
            continue
        passage = Passage(
            attempts=attempts,
            queued_s=question.queued_s,
            service_s=now - load.sent_at,
            chunk=len(load.questions),
            hedged=question.hedges > 0,
            shared=not attempts,
        )
        attempts = 0  # counted once, for the first of those who share it
        told.append((entry, reply.after(passage)))
    return told


def _fail(board: Board, question: Question, error: JudgeError) -> list[Delivery]:
    board.close(question)
    told: list[Delivery] = []
    attempts = question.attempts
    for entry in question.entries:
        if not entry.submission.closed:
            own = copy.copy(error)  # each job gets one of its own to raise and to keep
            own.attempts = attempts
            attempts = 0
            told.append((entry, own))
    return told
