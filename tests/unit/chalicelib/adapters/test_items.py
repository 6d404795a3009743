"""The names under which version 0.1 stores and shows records hold, whatever their fields are called now."""

from __future__ import annotations

from dataclasses import asdict

from chalicelib.adapters.dynamodb.items import incident_from, incident_item, node_from, node_item
from chalicelib.state.incident import Incident
from chalicelib.state.instance import LifecycleAction, Transition
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.stored_names import as_stored
from tests.unit.chalicelib.support.fakes import START, a_node

HOOK = LifecycleAction("workers", "leave", "token", Transition.TERMINATING, START, heartbeat=START + 60)
CHANGE = ScheduledChange(START, start=START + 9, arn="1")
NODE = a_node(hooks=(HOOK,), notices=(CHANGE,))
INCIDENT = Incident(key="k", at=START, what="what", left="left", fix="fix", notified=True)


def test_renamed_fields_are_stored_and_read_under_their_old_names() -> None:
    node, incident = node_item(NODE), incident_item("blue", INCIDENT)
    assert set(node["hooks"]["L"][0]["M"]) == {"group", "name", "token", "transition", "opened", "beat"}
    assert set(node["notices"]["L"][0]["M"]) == {"told", "start", "arn"}
    assert incident["told"] == {"BOOL": True}
    assert (node_from(node), incident_from(incident)) == (NODE, INCIDENT)


def test_renamed_fields_are_shown_under_their_old_names() -> None:
    shown, plain = as_stored(NODE), asdict(NODE)
    assert shown["hooks"] == (
        {name if name != "heartbeat" else "beat": value for name, value in asdict(HOOK).items()},
    )
    assert shown["notices"][0]["told"] == START
    assert {name: value for name, value in shown.items() if name not in ("hooks", "notices")} == {
        name: value for name, value in plain.items() if name not in ("hooks", "notices")
    }
    assert as_stored(INCIDENT)["told"] is True
