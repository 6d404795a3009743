"""Which deployment of Swarmkeeper this is, and the commands by which people reach its functions."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = "swarmkeeper"
DEFAULT_STAGE = "prod"  # to which instances belong that name no stage in their tags
INVOKE = "aws lambda invoke --function-name {function}{region} --cli-binary-format raw-in-base64-out"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stage in one region: ``name`` begins the names of its functions; ``region`` is "" if not known."""

    name: str = f"{APP}-{DEFAULT_STAGE}"
    region: str = ""

    @property
    def stage(self) -> str:
        """Return the Chalice stage."""
        return self.name.removeprefix(f"{APP}-")

    def write_call(self, call: str, payload: Mapping[str, Any]) -> str:
        """Write how to make a manual call: with the AWS CLI alone, and with Chalice where it was deployed."""
        given = shlex.quote(json.dumps(payload))
        direct = INVOKE.format(function=f"{self.name}-{call}", region=self._region)
        return (
            f"\n  {direct} --payload {given} /dev/stdout"
            f"\nor, in the checkout that it was deployed from:"
            f"\n  echo {given} | .venv/bin/chalice invoke -n {call} --stage {self.stage}"
        )

    def write_log(self, function: str) -> str:
        """Write how to read the last hour of a function's log."""
        return f"aws logs tail /aws/lambda/{self.name}-{function} --since 1h{self._region}"

    def write_tag_group(self, group: str, cluster: str) -> str:
        """Write how to tag an Auto Scaling group so that this deployment may let it go on."""
        tags = {"swarmkeeper:cluster": cluster, "swarmkeeper:stage": self.stage}
        fields = "ResourceId={},ResourceType=auto-scaling-group,Key={},Value={},PropagateAtLaunch=true"
        given = " ".join(shlex.quote(fields.format(group, key, value)) for key, value in tags.items())
        return f"aws autoscaling create-or-update-tags{self._region} --tags {given}"

    def write_manager_tag(self, instance: str) -> str:
        """Write how to tag an instance as a manager."""
        tag = "Key=swarmkeeper:role,Value=manager"
        return f"aws ec2 create-tags --resources {instance} --tags {tag}{self._region}"

    def write_forget_swarm(self, cluster: str, order: str) -> str:
        """Write how to forget that a cluster has a swarm: the item of its order, and both join tokens."""
        key = {"cluster": {"S": cluster}, "item": {"S": order}}
        tokens = " ".join(f"/swarmkeeper/{cluster}/join-token/{role}" for role in ("manager", "worker"))
        return (
            f"\n  aws dynamodb delete-item --table-name {self.name} --key {shlex.quote(json.dumps(key))}"
            f"{self._region}\n  aws ssm delete-parameters --names {tokens}{self._region}"
        )

    def write_deploy(self) -> str:
        """Write how to deploy it again."""
        return f"make deploy STAGE={self.stage}"

    @property
    def _region(self) -> str:
        return f" --region {self.region}" if self.region else ""
