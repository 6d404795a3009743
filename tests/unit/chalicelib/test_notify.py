"""People are told of what needs them: once, in words that say what to do, and again only if nobody was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.actions import Code
from chalicelib.adapters.sns import SnsTopic
from chalicelib.admin.calls import call
from chalicelib.errors import RefusedError
from chalicelib.events import FleetFailed, FleetNoted, Tick
from chalicelib.notify import notify
from chalicelib.routing import handle
from chalicelib.state.incident import Incident
from tests.unit.chalicelib.support.fakes import START, WORKER, Lab
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import tick

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

INCIDENT = Incident(
    key="join#i-1#5",
    at=START,
    what="join was given up",
    left="no node",
    fix="redrive",
    instance=WORKER,
    expires=START + 60,
)
FLEET = "fleet-598fb973-87b7-422d-be4d-6b0809bfff0a"


def test_the_message_says_what_happened_where_what_was_left_and_what_to_do() -> None:
    lab = Lab()
    assert notify("blue", INCIDENT, lab.world()).code is Code.RAISED
    ((subject, text),) = lab.messages.published
    assert subject == f"Swarmkeeper blue: {WORKER}"
    wanted = ["join was given up", "2027-01-15 08:00:00 UTC", "blue", WORKER, "no node", "redrive"]
    assert all(word in text for word in wanted)
    assert "$" not in text


def test_the_same_incident_notifies_people_once() -> None:
    lab = Lab()
    notify("blue", INCIDENT, lab.world())
    assert notify("blue", INCIDENT, lab.world()).code is Code.DONE
    assert len(lab.messages.published) == 1


def test_a_drill_says_that_it_is_one() -> None:
    lab = Lab()
    notify("blue", replace(INCIDENT, drill=True), lab.world())
    ((subject, text),) = lab.messages.published
    assert subject.startswith("Drill: ")
    assert text.startswith("This is a drill. join was given up")


def test_a_message_that_was_refused_is_sent_by_the_tick() -> None:
    lab = Lab()
    lab.messages.refuses = True
    assert notify("blue", INCIDENT, lab.world()).code is Code.LEFT_OPEN
    lab.messages.refuses = False
    tick(lab)
    assert len(lab.messages.published) == 1
    tick(lab)
    assert len(lab.messages.published) == 1


def test_a_cluster_may_want_no_messages() -> None:
    lab = Lab()
    lab.settings.update("blue", {"notify": False})
    assert notify("blue", INCIDENT, lab.world()).code is Code.RAISED
    assert (lab.messages.published, lab.incidents.list_all("blue")[0].notified) == ([], True)


@pytest.mark.parametrize("fleet_is_known", [True, False])
def test_a_fleet_that_fails_notifies_people_if_it_is_managed(*, fleet_is_known: bool) -> None:
    lab = Lab()
    if fleet_is_known:
        lab.nodes.record_owners("blue", [FLEET])
    for _ in range(2):
        handle(FleetFailed, sample("ec2_fleet_error"), lab.world())
    subjects = [subject for subject, _ in lab.messages.published]
    wanted = f"Swarmkeeper blue: fleet {FLEET} spotInstanceCountLimitExceeded"
    assert subjects == ([wanted] if fleet_is_known else [])


def test_a_failure_in_a_paused_cluster_is_published_once_it_is_resumed() -> None:
    lab = Lab()
    lab.nodes.record_owners("blue", [FLEET])
    call("pause", {"cluster": "blue"}, lab.world())
    handle(FleetFailed, sample("ec2_fleet_error", START), lab.world())
    assert [incident.notified for incident in lab.incidents.list_all("blue")] == [False]
    for _ in range(3):
        tick(lab)
    assert lab.messages.published == []
    call("resume", {"cluster": "blue"}, lab.world())
    assert len(lab.messages.published) == 1
    tick(lab)
    assert len(lab.messages.published) == 1


def test_a_failure_in_a_drill_does_not_silence_the_real_one() -> None:
    lab = Lab()
    lab.settings.update("blue", {"drills": True})
    lab.nodes.record_owners("blue", [FLEET])
    failure = sample("ec2_fleet_error")
    handle(FleetFailed, failure | {"source": "swarmkeeper.drill"}, lab.world())
    handle(FleetFailed, failure, lab.world())
    assert [subject.startswith("Drill: ") for subject, _ in lab.messages.published] == [True, False]


def test_a_failure_that_names_no_fleet_may_be_ours_and_notifies_people() -> None:
    lab = Lab()
    reasons = handle(FleetFailed, sample("spot_fleet_error"), lab.world())
    assert reasons[0].startswith("a fleet has failed: a fleet that the event does not name: allLaunchSpecs")
    assert len(lab.messages.published) == 1


def test_a_failure_without_a_fleet_is_published_by_the_tick_if_the_topic_refused() -> None:
    lab = Lab()
    lab.messages.refuses = True
    handle(FleetFailed, sample("spot_fleet_error"), lab.world())
    lab.messages.refuses = False
    for _ in range(3):
        tick(lab)
    assert len(lab.messages.published) == 1


@pytest.mark.parametrize(("kind", "told"), [("fleetProgressHalted", 1), ("launchSpecUnusable", 0)])
def test_of_what_a_fleet_informs_only_a_halt_notifies_people(kind: str, told: int) -> None:
    lab = Lab()
    lab.nodes.record_owners("blue", [FLEET])
    handle(FleetNoted, sample("ec2_fleet_information", sub_type=kind), lab.world())
    assert len(lab.messages.published) == told


def test_people_hear_of_work_that_no_manager_takes() -> None:
    lab = Lab()
    lab.hosts.unreachable = set(lab.ec2.instances)
    handle(Tick, {}, lab.world())
    node = lab.node()
    lab.nodes.records["blue", WORKER] = replace(node, state="leaving", due=lab.clock.time)  # type: ignore[arg-type]
    for _ in range(12):
        tick(lab)
    ((subject, text),) = lab.messages.published
    assert subject == f"Swarmkeeper blue: {WORKER}"
    assert "no host of blue has taken commands for 5 min" in text


def stubbed() -> tuple[SNSClient, Stubber]:
    client = boto3.client("sns")
    return client, Stubber(client)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_topic_is_found_by_its_name_in_the_own_account_region_and_partition(
    monkeypatch: pytest.MonkeyPatch, region: str, partition: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    client, stub = stubbed()
    message: dict[str, Any] = {
        "TopicArn": f"arn:{partition}:sns:{region}:123456789012:swarmkeeper-dev",
        "Subject": "s" * 100,
        "Message": "text",
    }
    with stub:
        stub.add_response("publish", {}, message)
        SnsTopic(lambda: client, "swarmkeeper-dev").publish("s" * 120, "text")
        stub.assert_no_pending_responses()


@pytest.mark.usefixtures("aws")
def test_what_the_topic_refuses_has_a_name_and_without_a_topic_nothing_is_sent() -> None:
    client, stub = stubbed()
    with stub:
        stub.add_client_error("publish", "NotFoundException")
        with pytest.raises(RefusedError, match="SNS did not take the message for arn:aws:sns:x:y:z"):
            SnsTopic(lambda: client, "arn:aws:sns:x:y:z").publish("s", "t")
        SnsTopic(lambda: client, "").publish("s", "t")
