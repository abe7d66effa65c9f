import pytest

from llm_judge_remote import compute_score
from llm_judge_remote.client.measure import Measure, token_limit_in
from llm_judge_remote.testing import JudgeServer

MESSAGES = [{"role": "system", "content": "one two"}, {"role": "user", "content": "three"}]


class Tokenizer:
    """Of transformers' shape: a token is a word."""

    chat_template = None

    def encode(self, text):
        return text.split()


class ChatTokenizer(Tokenizer):
    chat_template = "..."

    def __init__(self, *, wraps):
        self.wraps = wraps
        self.asked = 0

    def apply_chat_template(self, messages, add_generation_prompt):
        self.asked += 1
        tokens = " ".join(message["content"] for message in messages).split() + ["go"] * add_generation_prompt
        return {"input_ids": tokens} if self.wraps else tokens


@pytest.mark.parametrize(
    ("tokenizer", "count"),
    [(None, None), (Tokenizer(), 3), (ChatTokenizer(wraps=False), 4), (ChatTokenizer(wraps=True), 4)],
)
def test_a_conversation_is_counted_by_what_there_is(tokenizer, count):
    measure = Measure()
    measure.tokenizer = tokenizer
    assert measure.count(MESSAGES) == count


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192),
        ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096),
        ("Input length exceeds the maximum model length of 2048", 2048),
        ("too long", None),
    ],
)
def test_the_limit_is_read_from_the_server_s_own_words(words, limit):
    assert token_limit_in(words) == limit


def test_a_candidate_that_is_too_long_is_cut_by_the_trainer_s_tokenizer_where_the_server_does_not_count():
    tokenizer = ChatTokenizer(wraps=True)
    with JudgeServer(judge="REWARD: 0.5", max_model_len=2048) as server:
        del server._api._routes["/tokenize"]
        flat = compute_score(
            "d",
            "long words " * 2000,
            "r",
            server_url=server.url,
            max_new_tokens=16,
            structured_output="off",
            reward_model_tokenizer=tokenizer,
            return_details=True,
        )
    assert (flat["judge_ok"], flat["judge_candidate_cut"]) == (1, 1)
    assert tokenizer.asked
