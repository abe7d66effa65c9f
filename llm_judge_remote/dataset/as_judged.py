"""How the rows of a file would be judged: by which settings, in which words, and whether that fits into the context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llm_judge_remote.dataset.trainer_file import TrainerRow
from llm_judge_remote.errors import ConfigError, DatasetError, JudgeError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.layers import settings_for_row
from llm_judge_remote.prompts.library import TemplateLibrary, template_names
from llm_judge_remote.prompts.template import Message
from llm_judge_remote.routing import Router
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import check_fallback
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.settings import JudgeSettings

__all__ = ["BYTES_PER_TOKEN", "STAND_IN", "AsJudged", "Context", "Shown", "token_counter"]

STAND_IN = "(here stands the candidate)"
"""The candidate where a file has none, as trainers' files do."""

BYTES_PER_TOKEN = 4
"""Rule of thumb where there is no tokenizer: bytes of UTF-8, of which an English text has one for each character.

GPT-like vocabularies make tokens of 3 to 5 bytes of prose, whatever the language; of formulas and numbers, of fewer.
"""

_FEWEST_CHARACTERS = 200  # of a candidate; the judge is not asked about less of one that was cut
_MOST_SETTINGS = 1024


@dataclass(frozen=True, slots=True)
class Context:
    """What the judge's model can take.

    Attributes:
        tokens: Prompt and reply together.
        count: Counts a text's tokens; None for the rule of thumb.
    """

    tokens: int
    count: Callable[[str], int] | None = None

    @property
    def words(self) -> str:
        """For messages."""
        how = f"{BYTES_PER_TOKEN} bytes a token" if self.count is None else "counted by the tokenizer"
        return f"{self.tokens} tokens ({how})"


class Shown(NamedTuple):
    """What the judge is sent about a row: a conversation for each of its references; or why it is sent nothing."""

    conversations: tuple[tuple[Message, ...], ...]
    model: str = ""
    why_not: str = ""


class AsJudged:
    """Says of rows how the public calls would have them judged, without asking anybody.

    Args:
        settings: As a trainer's process has them: the layers below the row's.
        context: Of the judge's model.

    Raises:
        ConfigError: Nobody could run with the settings.
    """

    def __init__(self, settings: JudgeSettings, context: Context) -> None:
        self.settings = settings
        self.context = context
        self._router = Router(settings)
        self._templates = TemplateLibrary(PLACEHOLDERS)
        self._made: dict[object, Examiner | str] = {}
        self._fixed: dict[int, tuple[Examiner, int]] = {}
        self._examiner(settings, {})

    def sample(self, row: TrainerRow) -> Sample:
        """The row's sample, as the public calls read it; with a stand-in where the file has no candidates."""
        candidate = STAND_IN if row.candidate is None else row.candidate
        filtered = self.settings.filter_gt_by_prompt_token
        return Sample.from_row(row.data_source, candidate, row.ground_truth, row.extra_info, filter_by_prompt=filtered)

    def examiner(self, sample: Sample) -> Examiner | str | None:
        """Who examines it; why nobody could, in words; or None: another scorer has it.

        Raises:
            ConfigError: Nobody scores the row's data source.
        """
        settings = self.settings
        if not self._router.is_off:
            route = self._router.route(sample.data_source)
            if route.scorer is not None:
                return None
            settings = route.settings
        key = (id(settings), repr(sorted(sample.overrides.items())) if sample.overrides else "")
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= _MOST_SETTINGS:
                self._made.clear()
                self._fixed.clear()
            try:
                found = self._examiner(settings, sample.overrides)
            except ConfigError as error:
                found = str(error)
            self._made[key] = found
        return found

    def shown(self, sample: Sample) -> Shown:
        """What the judge is sent about the sample, to the byte."""
        if sample.defect:
            return Shown((), why_not=f"the row cannot be read: {sample.defect}")
        if not sample.candidate.strip():
            return Shown((), why_not="the candidate is empty")
        if not sample.references:
            return Shown((), why_not="the row has no reference")
        try:
            examiner = self.examiner(sample)
        except ConfigError as error:
            return Shown((), why_not=str(error))
        if examiner is None:
            return Shown((), why_not="another scorer has this data source")
        if isinstance(examiner, str):
            return Shown((), why_not=examiner)
        conversations = []
        for reference in sample.references:
            first = _first(examiner, sample, reference)
            if isinstance(first, str):
                return Shown((), why_not=first)
            conversations.append(first)
        return Shown(tuple(conversations), examiner.settings.model_name)

    def failure(self, examiner: Examiner, sample: Sample) -> str:
        """Why no prompt can be made of the sample, in words; "" if it can, as always by the package's own templates."""
        if examiner.settings.prompt_template in template_names() or not examiner.template.is_jinja:
            return ""
        try:
            for reference in sample.references:
                examiner.template.messages(problem=sample.problem, reference=reference, candidate=sample.candidate)
        except ConfigError as error:
            return str(error)
        return ""

    def length(self, examiner: Examiner, sample: Sample) -> int:
        """Characters of the longest prompt, without the candidate's."""
        return self._frame(examiner) + len(sample.problem) + max(map(len, sample.references))

    def fit(self, examiner: Examiner, sample: Sample, has_candidate: bool) -> str:
        """The code of the finding that the row does not fit into the context; "" if it does."""
        room = self.context.tokens - examiner.request.max_tokens
        candidate = sample.candidate if has_candidate else ""
        rest = (sample.problem, max(sample.references, key=_size))
        size = self._frame(examiner) + sum(map(_size, rest))
        least = len(candidate[:_FEWEST_CHARACTERS])
        count = self.context.count
        if count is None:
            if (size + least) > room * BYTES_PER_TOKEN:
                return "may_be_too_long"
            return "candidate_cut" if size + _size(candidate) > room * BYTES_PER_TOKEN else ""
        if size + _size(candidate) <= room:  # no vocabulary needs more tokens than bytes
            return ""
        frame = examiner.template.messages(problem=rest[0], reference=rest[1], candidate="")
        tokens = sum(count(message["content"]) for message in frame)
        if tokens + (count(candidate[:_FEWEST_CHARACTERS]) if candidate else 0) > room:
            return "too_long"
        return "candidate_cut" if candidate and tokens + count(candidate) > room else ""

    def _frame(self, examiner: Examiner) -> int:
        """Characters of a prompt without a row's texts."""
        known = self._fixed.get(id(examiner))
        if known is None:
            try:
                empty = examiner.template.messages(problem="", reference="", candidate="")
            except ConfigError:  # a template that wants some text
                empty = ({"content": examiner.template.text},)
            known = self._fixed[id(examiner)] = examiner, sum(len(message["content"]) for message in empty)
        return known[1]

    def _examiner(self, settings: JudgeSettings, overrides: Mapping[str, Any]) -> Examiner:
        own = settings_for_row(settings, overrides)
        examiner = Examiner(own, self._templates.get(own.prompt_template))
        check_fallback(own)
        return examiner


def token_counter(name: str) -> Callable[[str], int]:
    """Counts tokens by a model's own tokenizer; those of its chat template, a few for each message, are not counted.

    Args:
        name: A `tokenizer.json`, a folder that holds one, or a model's name on the hub.

    Raises:
        DatasetError: It cannot be had.
    """
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 (only for those who want to know exactly)
    except ImportError:
        msg = f"the tokenizer {name} needs the package tokenizers: pip install tokenizers"
        raise DatasetError(msg) from None
    path = Path(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(name)
    except Exception as error:  # noqa: BLE001 (a bare Exception is what it raises)
        msg = f"the tokenizer {name} cannot be had: {error}"
        raise DatasetError(msg) from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _first(examiner: Examiner, sample: Sample, reference: str) -> tuple[Message, ...] | str:
    """The messages that the judge is sent first; or in words why it is sent none."""
    job = examiner.examine(sample, reference)
    try:
        return tuple(next(job).messages)
    except StopIteration as ended:
        error = ended.value.error
        return "the gate decides it without the judge" if error is None else _words(error)
    finally:
        job.close()


def _size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
