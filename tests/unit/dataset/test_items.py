import pyarrow as pa

from llm_judge_remote.dataset.items import ITEMS


def test_an_item_is_a_problem_its_references_its_chat_and_its_number():
    assert ITEMS.names == ["problem", "references", "messages", "source_index"]


def test_texts_have_room_for_more_than_two_gibibytes_in_a_batch():
    assert ITEMS.field("problem").type == pa.large_string()
    assert ITEMS.field("references").type == pa.large_list(pa.large_string())


def test_a_batch_of_items_can_be_made_from_plain_values():
    row = {
        "problem": "1+1?",
        "references": ["2", "two"],
        "messages": [{"role": "user", "content": "1+1?"}],
        "source_index": 0,
    }
    assert pa.RecordBatch.from_pylist([row], schema=ITEMS).to_pylist() == [row]
