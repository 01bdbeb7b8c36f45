"""The judge itself: each way in which a system may fail is seen."""

from collections import Counter

from fault.verdict import judge
from harness import Ledger


def ledger(tmp_path, text):
    path = tmp_path / "ledger"
    path.write_text(text)
    return Ledger(path)


FOUR = "".join(f"reading {n} s {n}000 v={n}\n" for n in range(1, 5))


def problems(tmp_path, text, stored, lost=0, planned=4, **options):
    """What is wrong when readings of these numbers are stored, one row each mention."""
    book = ledger(tmp_path, text)
    rows = Counter(("s", n * 1000, (("v", float(n)),)) for n in stored)
    return judge([book], rows, lost, planned, **options).problems


def test_all_is_well(tmp_path):
    assert problems(tmp_path, "run a\n" + FOUR + "accepted 1 4\n", [1, 2, 3, 4]) == []


def test_a_system_that_accepts_nothing_does_not_pass(tmp_path):
    assert "nothing is stored" in problems(tmp_path, "run a\n" + FOUR, [])


def test_too_few_sent(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 4\n"
    assert problems(tmp_path, text, [1, 2, 3, 4], planned=5) == ["sent 4 of 5"]


def test_stored_twice(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 4\n"
    assert problems(tmp_path, text, [1, 2, 2, 3, 4]) == ["1 rows too many"]


def test_never_sampled(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 4\n"
    found = problems(tmp_path, text, [1, 2, 3, 4, 9])
    assert found == ["1 rows that were never sampled", "1 rows too many"]


def test_accepted_and_missing(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 4\n"
    assert problems(tmp_path, text, [1, 2, 4], lost=1)[0].startswith("1 accepted readings are")


def test_lost_without_an_exception(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 3\n"
    assert "1 readings are lost without an exception" in problems(tmp_path, text, [1, 2, 3], lost=1)[0]


def test_a_loss_that_nobody_reports(tmp_path):
    text = "run a\n" + FOUR + "dropped 1 1\naccepted 2 3\n"
    assert problems(tmp_path, text, [2, 3, 4], lost=1) == []
    assert problems(tmp_path, text, [2, 3, 4]) == ["0 readings are reported lost, 1 are"]
    assert problems(tmp_path, text, [1, 2, 3, 4], lost=1) == ["1 readings are reported lost, 0 are"]


def test_the_tail_of_a_killed_sampler(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 3\n"
    assert problems(tmp_path, text, [1, 2, 3], killed_runs={"a"}) == []
    assert problems(tmp_path, text, [1, 2], killed_runs={"a"}) != []


def test_what_a_case_forgives_must_be_reported(tmp_path):
    text = "run a\n" + FOUR + "accepted 1 4\n"
    first = {("a", 1)}
    assert problems(tmp_path, text, [2, 3, 4], lost=1, forgiven=first) == []
    assert problems(tmp_path, text, [2, 3, 4], lost=0, forgiven=first) != []
    assert problems(tmp_path, text, [1, 3, 4], lost=1, forgiven=first) != []
