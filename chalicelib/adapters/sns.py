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

SUBJECT = 100  # characters that SNS takes


@dataclass(frozen=True, slots=True)
class SnsTopic:
    """A topic by its name or ARN; without one nothing is published, as the log has told it already."""

    connect: Callable[[], SNSClient]
    topic: str

    def publish(self, subject: str, text: str) -> None:
        """Tell whoever subscribed. Raises RefusedError."""
        if not self.topic:
            return
        try:
            self.connect().publish(
                TopicArn=_arn(self.topic, self.connect()), Subject=subject[:SUBJECT], Message=text
            )
        except (ClientError, BotoCoreError) as error:
            raise RefusedError(f"SNS did not take the message for {self.topic}: {error}") from error


def _arn(topic: str, client: SNSClient) -> str:
    """A topic of this account and region by its name: no setting has to know the account."""
    if topic.startswith("arn:"):
        return topic
    me = boto3.client("sts", config=client.meta.config).get_caller_identity()  # as patient as this one
    return f"arn:{me['Arn'].split(':')[1]}:sns:{client.meta.region_name}:{me['Account']}:{topic}"
