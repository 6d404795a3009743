"""Holds callers to their IAM permissions in what the endpoint answers; ministack does so in the rest."""

from __future__ import annotations

import copy
import fnmatch
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.aws.events import ACCOUNT, REGION
from tests.lab.endpoint.autoscaling import DESCRIBES
from tests.lab.endpoint.callers import Caller
from tests.lab.endpoint.instances import Instance
from tests.lab.endpoint.messages import AwsError, Request

_DOCUMENT = f"arn:aws:ssm:{REGION}::document/"
_PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
_INSTANCE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/"
_GROUP = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{uuid.UUID(int=0)}:autoScalingGroupName/"
_TAG_KEYS = ("ssm:resourceTag/", "ec2:ResourceTag/", "aws:ResourceTag/", "autoscaling:ResourceTag/")
_IN_GROUP = "aws:autoscaling:groupName"
_MET_WITHOUT = frozenset({"StringNotEquals", "StringEqualsIfExists"})  # the tag
_ROOT = frozenset({ACCOUNT, "test"})
_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIfExists": lambda value, wanted: value == wanted,
    "StringNotEquals": lambda value, wanted: value != wanted,
    "StringLike": fnmatch.fnmatchcase,
}
Policy = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What an action is done to: a resource's ARN and its tags."""

    arn: str
    tags: tuple[tuple[str, str], ...] = ()


@dataclass
class Permissions:
    """Asks ministack's IAM (boto3 clients) what the role of a function, or of a host, may do."""

    iam: Any
    functions: Any
    _roles: dict[str, tuple[str, list[Policy]]] = field(default_factory=dict)
    _allowed: dict[tuple[str, str, Target], bool] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Something has changed roles or policies: ask again."""
        with self._lock:
            self._roles.clear()
            self._allowed.clear()

    def check(self, request: Request, who: Caller, found: list[Instance]) -> None:
        """Refuse, in AWS's words, what the caller may not do; the root user may do all."""
        if not who.worker and not who.role:
            if request.access_key not in _ROOT:
                raise AwsError("UnrecognizedClientException", "The security token in the request is invalid.")
            return
        for target in _targets(request, found):
            with self._lock:
                if not self._may(who, request.action, target):
                    raise _denied(request, self._role(who)[0], who.name, target)

    def _may(self, who: Caller, action: str, target: Target) -> bool:
        key = (who.name, action, target)
        if key not in self._allowed:
            policies = [resolve(policy, dict(target.tags)) for policy in self._role(who)[1]]
            self._allowed[key] = bool(policies) and self._simulated(policies, action, target)
        return self._allowed[key]

    def _simulated(self, policies: list[Policy], action: str, target: Target) -> bool:
        texts = [json.dumps(policy) for policy in policies]
        answer = self.iam.simulate_custom_policy(
            PolicyInputList=texts, ActionNames=[action], ResourceArns=[target.arn]
        )
        return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")

    def _role(self, who: Caller) -> tuple[str, list[Policy]]:
        if who.name not in self._roles:
            role = who.role or self._role_of_function(who.name)
            self._roles[who.name] = role, [*self._inline(role), *self._attached(role)]
        return self._roles[who.name]

    def _role_of_function(self, function: str) -> str:
        arn: str = self.functions.get_function_configuration(FunctionName=function)["Role"]
        return arn.rpartition("/")[2]

    def _inline(self, role: str) -> list[Policy]:
        names = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [self.iam.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"] for n in names]

    def _attached(self, role: str) -> list[Policy]:
        arns = [
            row["PolicyArn"]
            for row in self.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        ]
        return [self._document(arn) for arn in arns]

    def _document(self, arn: str) -> Policy:
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)
        document: Policy = found["PolicyVersion"]["Document"]
        return document


def resolve(policy: Policy, tags: Mapping[str, str]) -> Policy:
    """Resolve a policy for these tags: drop met tag conditions, and statements with unmet ones.

    Ministack's simulation knows no tags. Conditions about anything else stay for it to judge.
    """
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    kept = [found for statement in statements if (found := _resolved(copy.deepcopy(statement), tags))]
    return {**policy, "Statement": kept}


def _resolved(statement: Policy, tags: Mapping[str, str]) -> Policy | None:
    conditions = statement.pop("Condition", {})
    left: Policy = {}
    for operator, keys in conditions.items():
        for key, wanted in keys.items():
            tag = next((key.removeprefix(prefix) for prefix in _TAG_KEYS if key.startswith(prefix)), None)
            if tag is None or operator not in _COMPARE:
                left.setdefault(operator, {})[key] = wanted
            elif not _meets(operator, tags.get(tag), wanted):
                return None
    return {**statement, "Condition": left} if left else statement


def _meets(operator: str, value: str | None, wanted: str | list[str]) -> bool:
    allowed = wanted if isinstance(wanted, list) else [wanted]
    if value is None:
        return operator in _MET_WITHOUT
    results = [_COMPARE[operator](value, one) for one in allowed]
    return all(results) if operator == "StringNotEquals" else any(results)


def _targets(request: Request, found: list[Instance]) -> list[Target]:
    by_id = {
        one.host.instance: Target(_INSTANCE + one.host.instance, tuple(one.tags.items())) for one in found
    }
    if request.action == "ssm:SendCommand":
        message = json.loads(request.body)
        ids = message.get("InstanceIds", [])
        return [Target(_DOCUMENT + message.get("DocumentName", ""))] + [_target(by_id, one) for one in ids]
    if request.action == "ssm:GetParameters":
        return [Target(_PARAMETER + name) for name in json.loads(request.body).get("Names", [])]
    if request.action == "ec2:TerminateInstances":
        return [_target(by_id, value) for key, value in request.form.items() if key.startswith("InstanceId.")]
    if request.service == "autoscaling" and request.operation not in DESCRIBES:
        return [_group(found, request.form.get("AutoScalingGroupName", ""))]
    return [Target("*")]


def _group(found: list[Instance], name: str) -> Target:
    """Return a group with its tags: those that it gives to its instances."""
    tags = next((one.tags for one in found if one.tags.get(_IN_GROUP) == name), {})
    own = tuple((key, value) for key, value in tags.items() if key.startswith("swarmkeeper:"))
    return Target(_GROUP + name, own)


def _target(by_id: Mapping[str, Target], instance: str) -> Target:
    return by_id.get(instance, Target(_INSTANCE + instance))


def _denied(request: Request, role: str, function: str, target: Target) -> AwsError:
    if request.service == "ec2":
        return AwsError("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
    user = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{function}"
    action = request.action
    return AwsError(
        "AccessDeniedException",
        f"User: {user} is not authorized to perform: {action} on resource: {target.arn} "
        f"because no identity-based policy allows the {action} action",
    )
