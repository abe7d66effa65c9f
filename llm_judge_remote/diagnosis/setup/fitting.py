"""Whether the prompts fit into the model's context."""

from __future__ import annotations

import orjson

from llm_judge_remote.client.chat import TOKENIZE_PATH
from llm_judge_remote.client.replies import read_json
from llm_judge_remote.diagnosis.setup.longest_row import LongestRows, LongRow
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.errors import ServerError
from llm_judge_remote.finding import Finding
from llm_judge_remote.settings import JudgeSettings

__all__ = ["BYTES_PER_TOKEN", "look_at_context", "look_at_rows"]

BYTES_PER_TOKEN = 4
"""Rule of thumb where the server does not count: GPT-like vocabularies make tokens of 3 to 5 bytes of prose."""

_LEAST_ROOM = 64  # tokens of a candidate; the judge is not asked about less than 200 characters of one that was cut


def look_at_context(visit: Visit) -> Finding:
    """How many tokens the model takes, and how many of them the settings keep for the reply."""
    limit = _limit(visit)
    if limit is None:
        return Finding("context", "skipped", "the server does not tell max_model_len")
    reply = reply_tokens(visit.settings)
    if reply >= limit:
        fix = "lower max_new_tokens (and thinking_budget), or start the server with a larger --max-model-len"
        words = f"max_model_len is {limit}, and a reply may have {reply} tokens: no prompt fits"
        return Finding("context", "error", words, fix)
    return Finding("context", "ok", f"max_model_len is {limit}, of which a reply may have {reply}")


def look_at_rows(visit: Visit) -> Finding:
    """Whether the longest rows of the trainer's file fit, counted by the server where it does that."""
    rows, limit = visit.rows, _limit(visit)
    if rows is None:
        return Finding("longest row", "skipped", "there are no rows to look at (--data gives them)")
    if limit is None:
        return Finding("longest row", "skipped", "the server does not tell max_model_len")
    if not rows.longest:
        return Finding("longest row", "skipped", f"no row of {rows.file} is for the judge")
    counted = [(_count(visit, row), row) for row in rows.longest]
    is_exact = all(count is not None for count, _ in counted)
    tokens, row = max(
        ((row.size // BYTES_PER_TOKEN if count is None else count, row) for count, row in counted),
        key=lambda pair: pair[0],
    )
    room = limit - tokens - row.tokens
    how = "counted by the server" if is_exact else f"by {BYTES_PER_TOKEN} bytes a token"
    held = "with its candidate" if rows.has_candidates else "without a candidate"
    of_what = f"row {row.index} of {rows.file} makes a prompt of {tokens} tokens {held} ({how})"
    if not rows.is_whole:
        of_what += f", the longest of the first {rows.rows} rows: then the time was up"
    if room < (0 if rows.has_candidates else _LEAST_ROOM):
        return _too_long(rows, row, of_what, limit)
    left = "" if rows.has_candidates else f": {room} are left for a candidate"
    words = f"{of_what}; with {row.tokens} for the reply that fits into {limit}{left}"
    wanted = 0 if rows.has_candidates else rows.candidate_tokens
    if room < wanted:
        fix = (
            f"start the server with --max-model-len {limit + wanted - room} or more, or lower data.max_response_length"
        )
        cut = f"longer ones lose their middle, and verl's may have {wanted} (data.max_response_length)"
        return Finding("longest row", "warning", f"{words}; {cut}", fix)
    return Finding("longest row", "ok", words)


def reply_tokens(settings: JudgeSettings) -> int:
    """Tokens that a reply may have, its thought included."""
    return settings.max_new_tokens + (settings.thinking_budget if settings.enable_thinking else 0)


def _too_long(rows: LongestRows, row: LongRow, of_what: str, limit: int) -> Finding:
    words = f"{of_what}, which with {row.tokens} for the reply is too much for max_model_len={limit}"
    where = f"see `llm-judge-remote inspect {rows.file.name} --context {limit}` for all such rows"
    fix = f"start the server with a larger --max-model-len, lower max_new_tokens, or take the row out; {where}"
    if rows.has_candidates:
        return Finding("longest row", "warning", f"{words}: its candidate loses its middle", fix)
    return Finding("longest row", "error", f"{words}: it can never be judged", fix)


def _limit(visit: Visit) -> int | None:
    return None if visit.capabilities is None else visit.capabilities.max_model_len


def _count(visit: Visit, row: LongRow) -> int | None:
    """The prompt's tokens by the server's own tokenizer and template; None where it does not count."""
    fields = {
        "model": visit.model,
        "messages": row.messages,
        "chat_template_kwargs": {"enable_thinking": visit.settings.enable_thinking},
    }
    try:
        response = visit.session.request("POST", TOKENIZE_PATH, orjson.dumps(fields), timeout=visit.timeout)
        count = read_json(response.body, visit.address).get("count") if response.status == 200 else None
    except ServerError:
        return None
    return count if isinstance(count, int) else None
