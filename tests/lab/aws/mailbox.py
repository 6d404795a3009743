"""A person who subscribed to the incidents: a queue behind the product's SNS topic, and what came into it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.aws import lab_api
from tests.lab.state import Lab

QUEUE = "people"


@dataclass(frozen=True)
class Letter:
    """One message as an e-mail subscriber would get it."""

    subject: str
    text: str


def subscribe(lab: Lab) -> None:
    """Subscribe to every topic; the queue's policy lets SNS in, without which it drops messages silently."""
    sns, sqs = (lab_api.connect(lab).client(service) for service in ("sns", "sqs"))
    url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    whoever = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}}
    policy = {"Statement": [{**whoever, "Action": "sqs:SendMessage", "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    for topic in sns.list_topics()["Topics"]:
        sns.subscribe(TopicArn=topic["TopicArn"], Protocol="sqs", Endpoint=arn)


def letters(lab: Lab) -> list[Letter]:
    """Every message so far, the oldest first; kept in a file of the lab's, as a queue shows ten at a time."""
    sqs, file = lab_api.connect(lab).client("sqs"), lab.directory / "letters.jsonl"
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        with file.open("a") as kept:
            kept.writelines(message["Body"] + "\n" for message in messages)
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    rows = map(json.loads, file.read_text().splitlines()) if file.exists() else ()
    return [Letter(row["Subject"], row["Message"]) for row in rows]
