"""The stack of a stage is made from whatever stands there; what stops it is one line that says what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import ANY, Stubber

from bootstrap import foundation
from bootstrap.foundation import DEAD, FoundationError, make_foundation

NAME = "swarmkeeper-prod-foundation"
STACK = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1"
BUCKET = "swarmkeeper-prod-123456789012"
OUTPUTS = [{"OutputKey": "Bucket", "OutputValue": BUCKET}]
SERVICES = ("cloudformation", "s3", "sts", "dynamodb")


class Recorded:
    """AWS's answers in the order in which they are asked for, one row for each service."""

    def __init__(self) -> None:
        given = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.clients = {name: boto3.client(name, region_name="eu-west-1", **given) for name in SERVICES}  # type: ignore[call-overload]
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()
        self.formation = self.stubs["cloudformation"]

    def shows(self, status: str, reason: str = "", name: str = NAME) -> None:
        """Have the stack be in a state."""
        stack: dict[str, Any] = {"StackName": NAME, "StackId": STACK, "StackStatus": status}
        stack |= {
            "Outputs": OUTPUTS,
            "CreationTime": datetime(2027, 1, 1, tzinfo=UTC),
            "StackStatusReason": reason,
        }
        self.formation.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": name})

    def has_no_stack(self) -> None:
        words = f"Stack with id {NAME} does not exist"
        self.formation.add_client_error("describe_stacks", "ValidationError", words)

    def deletes(self) -> None:
        self.formation.add_response("delete_stack", {}, {"StackName": NAME})
        self.shows("DELETE_IN_PROGRESS", name=STACK)
        self.shows("DELETE_COMPLETE", name=STACK)

    def finds(self, region: str = "", *, table: bool = False) -> None:
        """Have the bucket be in a region ("" for none), and the table be there or not."""
        self.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})
        if region:
            place = {"LocationConstraint": region}
            self.stubs["s3"].add_response("get_bucket_location", place, {"Bucket": BUCKET})
        else:
            self.stubs["s3"].add_client_error("get_bucket_location", "NoSuchBucket", "no")
        if table:
            self.stubs["dynamodb"].add_response("describe_table", {"Table": {}})
        else:
            self.stubs["dynamodb"].add_client_error("describe_table", "ResourceNotFoundException", "no")

    def creates(self, end: str = "CREATE_COMPLETE") -> None:
        self.formation.add_response("create_stack", {"StackId": STACK})
        self.shows("CREATE_IN_PROGRESS", name=STACK)
        self.shows(end, name=STACK)

    def imports(self, *resources: dict[str, Any], status: str = "CREATE_COMPLETE") -> None:
        """Have the resources imported, which make the stack; anything else must not be in the template."""
        expected = {"StackName": NAME, "ChangeSetName": "take-over", "ChangeSetType": "IMPORT"}
        more = {"TemplateBody": ANY, "Parameters": ANY, "ResourcesToImport": list(resources)}
        change = {"StackName": NAME, "ChangeSetName": "take-over"}
        shown = {"StackId": STACK, "Status": status, "StatusReason": "it does not match"}
        self.formation.add_response("create_change_set", {"StackId": STACK}, expected | more)
        self.formation.add_response("describe_change_set", shown, change)
        if status == "CREATE_COMPLETE":
            self.formation.add_response("execute_change_set", {}, change)
            self.shows("IMPORT_COMPLETE", name=STACK)

    def updates(self, end: str = "UPDATE_COMPLETE") -> None:
        self.formation.add_response("update_stack", {"StackId": STACK})
        self.shows("UPDATE_IN_PROGRESS", name=STACK)
        self.shows(end, name=STACK)

    def tells(self, *events: tuple[str, str, str]) -> None:
        """Have the stack tell what happened, the latest first."""
        now = {
            "StackId": STACK,
            "StackName": NAME,
            "EventId": "1",
            "Timestamp": datetime(2027, 1, 1, tzinfo=UTC),
        }
        rows = [
            now
            | {"LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": reason}
            | {"PhysicalResourceId": STACK if name == NAME else name}
            for name, status, reason in events
        ]
        self.formation.add_response("describe_stack_events", {"StackEvents": rows}, {"StackName": STACK})

    def is_done(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()


TABLE_LEFT = foundation._import_as("Records", "AWS::DynamoDB::Table", "TableName", "swarmkeeper-prod")  # noqa: SLF001
BUCKET_LEFT = foundation._import_as("Agents", "AWS::S3::Bucket", "BucketName", BUCKET)  # noqa: SLF001


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(boto3, "client", lambda name: recorded.clients[name])
    monkeypatch.setattr(foundation, "POLL_S", 0.0)
    return recorded


def fails(recorded: Recorded) -> str:
    with pytest.raises(FoundationError) as error:
        make_foundation("prod")
    recorded.is_done()
    (line,) = str(error.value).splitlines()
    return line


def test_the_first_deployment_makes_the_stack(aws: Recorded) -> None:
    aws.has_no_stack()
    aws.finds()
    aws.creates()
    assert make_foundation("prod") == {"Bucket": BUCKET}
    aws.is_done()


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"])
def test_the_next_one_updates_it(aws: Recorded, status: str) -> None:
    aws.shows(status)
    aws.updates()
    assert make_foundation("prod") == {"Bucket": BUCKET}
    aws.is_done()


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_is_up_to_date_stays_as_it_is(aws: Recorded, status: str) -> None:
    aws.shows(status)
    words = "No updates are to be performed."
    aws.formation.add_client_error("update_stack", "ValidationError", words)
    assert make_foundation("prod") == {"Bucket": BUCKET}
    aws.is_done()


@pytest.mark.parametrize(
    ("region", "table", "left"),
    [
        ("eu-west-1", True, (TABLE_LEFT, BUCKET_LEFT)),
        ("EU", False, (BUCKET_LEFT,)),
        ("", True, (TABLE_LEFT,)),
    ],
)
def test_what_a_deleted_stack_left_is_taken_over(
    aws: Recorded,
    region: str,
    table: bool,
    left: tuple[dict[str, Any], ...],
) -> None:
    aws.has_no_stack()
    aws.finds(region, table=table)
    aws.imports(*left)
    aws.updates()
    assert make_foundation("prod") == {"Bucket": BUCKET}
    aws.is_done()


@pytest.mark.parametrize("status", sorted(DEAD))
def test_a_stack_that_was_never_whole_is_deleted_and_made_again(aws: Recorded, status: str) -> None:
    aws.shows(status)
    aws.deletes()
    aws.finds("eu-west-1", table=True)
    aws.imports(TABLE_LEFT, BUCKET_LEFT)
    aws.updates()
    assert make_foundation("prod") == {"Bucket": BUCKET}
    aws.is_done()


def test_a_stage_of_another_region_is_refused_before_anything_is_made(aws: Recorded) -> None:
    aws.has_no_stack()
    aws.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})
    aws.stubs["s3"].add_response("get_bucket_location", {"LocationConstraint": "us-east-2"})
    assert fails(aws) == (
        "stage prod is in us-east-2 already, and its roles are the account's: eu-west-1 needs another:"
        " .venv/bin/python -m bootstrap.stages --copy prod --to prod-2, then make deploy STAGE=prod-2"
    )


def test_a_bucket_of_another_account_is_named(aws: Recorded) -> None:
    aws.has_no_stack()
    aws.stubs["sts"].add_response("get_caller_identity", {"Account": "123456789012"})
    aws.stubs["s3"].add_client_error("get_bucket_location", "AccessDenied", "no")
    assert f"see aws s3api get-bucket-location --bucket {BUCKET}" in fails(aws)


def test_a_creation_that_fails_says_what_failed_first(aws: Recorded) -> None:
    aws.has_no_stack()
    aws.finds()
    aws.creates("ROLLBACK_COMPLETE")
    aws.tells(
        (NAME, "ROLLBACK_COMPLETE", ""),
        ("TickFails", "CREATE_FAILED", "Resource creation cancelled"),
        ("Incidents", "CREATE_FAILED", "not authorized to perform: SNS:CreateTopic"),
        (NAME, "CREATE_IN_PROGRESS", "User Initiated"),
        ("Records", "CREATE_FAILED", "of an earlier try"),
    )
    assert fails(aws) == (
        f"{NAME} is ROLLBACK_COMPLETE: Incidents: not authorized to perform: SNS:CreateTopic;"
        " correct that, then run make deploy STAGE=prod again"
    )


def test_where_cloudformation_says_read_on_its_findings_are_read(aws: Recorded) -> None:
    aws.shows("UPDATE_COMPLETE")
    aws.updates("UPDATE_ROLLBACK_COMPLETE")
    aws.tells((NAME, "UPDATE_FAILED", f"Validation failed with 1 error(s). Now {foundation.READ_ON}"))
    found = [{"ValidationStatusReason": "the bucket already exists"}, {"EventType": "STACK_EVENT"}]
    aws.formation.add_response("describe_events", {"OperationEvents": found})
    assert "UPDATE_ROLLBACK_COMPLETE: the bucket already exists; correct that" in fails(aws)


def test_what_cannot_be_taken_over_says_why(aws: Recorded) -> None:
    aws.has_no_stack()
    aws.finds("eu-west-1")
    aws.imports(BUCKET_LEFT, status="FAILED")
    assert fails(aws) == (
        "what is left of prod cannot be taken over: it does not match;"
        " correct that, then run make deploy STAGE=prod again"
    )


def test_a_stack_that_is_stuck_or_busy_says_what_to_run(aws: Recorded) -> None:
    aws.shows("UPDATE_ROLLBACK_FAILED")
    assert f"run aws cloudformation continue-update-rollback --stack-name {NAME}, then make deploy" in fails(
        aws
    )
    aws.shows("UPDATE_IN_PROGRESS")
    assert f"see aws cloudformation describe-stacks --stack-name {NAME}" in fails(aws)


def test_an_import_has_only_what_is_imported_and_no_outputs() -> None:
    text = foundation.TEMPLATE.read_text()
    for names in (["Records"], ["Agents"], ["Records", "Agents"]):
        some = yaml.compose(foundation._select(text, names), yaml.SafeLoader)  # noqa: SLF001
        assert some
        keys = {key.value: value for key, value in some.value}
        assert [key.value for key, _ in keys["Resources"].value] == names
        assert set(keys) == {"AWSTemplateFormatVersion", "Description", "Parameters", "Resources"}
        for _, resource in keys["Resources"].value:
            assert ("DeletionPolicy", "Retain") in {
                (key.value, value.value) for key, value in resource.value[:2]
            }
