"""The journal answers what was written to it."""

import time
from pathlib import Path

import pytest

from tests.lab import state
from tests.lab.observe import journal
from tests.lab.observe.journal import Call, CommandChange, Delivery, Entry, Journal, Trouble

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


def test_a_follower_sees_what_is_written_after_it_began(
    lab: state.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Journal(journal.path(lab))
    book.write(ENTRIES[0])
    later = iter(ENTRIES[1:3])
    # A follower sleeps whenever it has read all there is: that is when the next entry is written.
    monkeypatch.setattr(time, "sleep", lambda _: book.write(next(later)))
    follower = journal.follow(lab)
    assert [next(follower), next(follower)] == ENTRIES[1:3]
