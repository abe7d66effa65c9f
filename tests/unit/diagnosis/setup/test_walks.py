import threading

from llm_judge_remote.diagnosis.setup.walks import side_by_side


def test_walks_are_told_in_order_whoever_is_the_first_to_arrive():
    second_is_done = threading.Event()

    def first():
        yield "first"
        yield second_is_done.wait(10)

    def second():
        yield "second"
        second_is_done.set()

    assert [list(walk) for walk in side_by_side([first, second], 2)] == [["first", True], ["second"]]


def test_no_more_walks_are_under_way_than_allowed():
    lock, under_way, most = threading.Lock(), [0], [0]

    def walk():
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        yield 1
        with lock:
            under_way[0] -= 1

    assert sum(sum(met) for met in side_by_side([walk] * 20, 2)) == 20
    assert most[0] <= 2
