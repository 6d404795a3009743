"""People, through an SNS topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

MAX_SUBJECT_CHARACTERS = 100  # that SNS takes


@dataclass(frozen=True, slots=True)
class SnsTopic:
    """A topic by its name or ARN; without one nothing is published: the log has it already."""

    connect: Callable[[], SNSClient]
    topic: str

    def publish(self, subject: str, text: str) -> None:
        """Send a message to all subscribers. Raises RefusedError."""
        if not self.topic:
            return
        try:
            self.connect().publish(
                TopicArn=_arn(self.topic, self.connect()),
                Subject=subject[:MAX_SUBJECT_CHARACTERS],
                Message=text,
            )
        except (ClientError, BotoCoreError) as error:
            raise RefusedError(f"SNS did not take the message for {self.topic}: {error}") from error


def _arn(topic: str, client: SNSClient) -> str:
    """Find a topic of this account and region by its name: no setting has to know the account."""
    if topic.startswith("arn:"):
        return topic
    me = boto3.client("sts", config=client.meta.config).get_caller_identity()  # as patient as this one
    return f"arn:{me['Arn'].split(':')[1]}:sns:{client.meta.region_name}:{me['Account']}:{topic}"
