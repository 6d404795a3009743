"""The journal answers what was written to it."""

from pathlib import Path

import pytest

from tests.lab import journal, state
from tests.lab.journal import Call, CommandChange, Delivery, Entry, Journal, Trouble

ENTRIES: list[Entry] = [
    Call(1.0, "ssm:SendCommand", "on_warning", 200, 0.01, worker=7, memory=70_000),
    Delivery(2.0, {"detail": {"instance-id": "i-1"}}, ("on_warning",), "double"),
    CommandChange(3.0, "c", "i-1", "Success", "Success", "evacuate blue", 0),
    Trouble(4.0, "no rule"),
]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> state.Lab:
    monkeypatch.setattr(state, "ROOT", tmp_path)
    made = state.Lab("lab", 0, "blue")
    made.directory.mkdir()
    return made


def test_what_was_written_is_read_in_the_order_of_time(lab: state.Lab) -> None:
    for entry in reversed(ENTRIES):
        Journal(journal.path(lab)).write(entry)
    assert journal.read(lab) == ENTRIES
    assert journal.read(lab, since=3.0) == ENTRIES[2:]


def test_a_lab_without_a_journal_has_no_entries(lab: state.Lab) -> None:
    assert journal.read(lab) == []


def test_a_follower_sees_what_is_written_after_it_began(lab: state.Lab) -> None:
    book = Journal(journal.path(lab))
    book.write(ENTRIES[0])
    follower = journal.follow(lab, poll=0.001)
    book.path.touch()
    seen: list[Entry] = []
    for entry in ENTRIES[1:3]:
        if not seen:
            # A generator begins at its first `next`, so the first entry is written from another place.
            import threading  # noqa: PLC0415

            threading.Timer(0.05, book.write, (entry,)).start()
        else:
            book.write(entry)
        seen.append(next(follower))
    assert seen == ENTRIES[1:3]
