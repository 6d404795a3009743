"""The policies by two linters that need no network: parliament and cfn-lint.

Both are imported by the tests that run them: each takes long, and every process collects this file.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cfnlint.match import Match

ROOT = Path(__file__).parents[2]
POLICIES = sorted([*ROOT.glob(".chalice/policy-*.json"), *ROOT.glob("bootstrap/policies/*.json")])
# parliament judges each statement alone; the right to send is in two, of the document and of the hosts.
SPLIT = ("RESOURCE_MISMATCH", "ssm:SendCommand")
GROUPS = "arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*"
BAD: dict[str, dict[str, Any]] = {
    "every group": {"Action": "autoscaling:CompleteLifecycleAction", "Resource": GROUPS},
    "unknown action": {"Action": "ssm:SendComand"},
    "resource of another service": {"Action": "sns:Publish", "Resource": "arn:aws:s3:::bucket"},
    "everything of a service": {"Action": "s3:GetObject"},
    "unknown condition": {"Action": "ssm:SendCommand", "Condition": {"StringEquals": {"ssm:Tag/a": "b"}}},
    "unknown operator": {
        "Action": "ssm:SendCommand",
        "Condition": {"StringsEqual": {"aws:RequestTag/a": "b"}},
    },
}


def bad_policy(statement: dict[str, Any]) -> dict[str, Any]:
    whole = {"Effect": "Allow", "Resource": "*", **statement}
    return {"Version": "2012-10-17", "Statement": [whole]}


@cache
def lint_as_template() -> tuple[Match, ...]:
    """Lint all policies as one template: to get ready takes cfn-lint longest."""
    from cfnlint.api import lint_all  # noqa: PLC0415 - see above

    policies = {path.stem: json.loads(path.read_text()) for path in POLICIES}
    policies |= {name: bad_policy(statement) for name, statement in BAD.items()}
    resources = {
        "".join(filter(str.isalnum, name)): {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"PolicyDocument": policy},
        }
        for name, policy in policies.items()
    }
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
    return tuple(match for match in lint_all(template) if match.rule.severity != "informational")


def is_limited_by_tags(finding: Any, text: str) -> bool:
    """Whether all of a kind is meant, but for a condition: parliament does not count those."""
    if finding.issue != "RESOURCE_EFFECTIVELY_STAR":
        return False
    lines = text.splitlines()[finding.location["line"] - 1 :]
    statement, _ = json.JSONDecoder().raw_decode("\n".join(lines)[finding.location["column"] - 1 :])
    return "Condition" in statement


def lint(name: str, text: str) -> list[str]:
    """List what both find: the one knows conditions too, the other the newest actions."""
    with warnings.catch_warnings():  # what it reads its own files with is deprecated
        warnings.simplefilter("ignore")
        from parliament import analyze_policy_string  # noqa: PLC0415 - see above
    said = analyze_policy_string(text).findings
    found = [f"{one.issue} {one.detail}" for one in said if not is_limited_by_tags(one, text)]
    resource = "".join(filter(str.isalnum, name))
    found += [str(match) for match in lint_as_template() if resource in (match.path or ())]
    return [one for one in found if not all(word in one for word in SPLIT)]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_has_no_fault_that_a_linter_finds(path: Path) -> None:
    assert lint(path.stem, path.read_text()) == []


@pytest.mark.parametrize("name", BAD)
def test_the_linters_find_what_is_wrong(name: str) -> None:
    assert lint(name, json.dumps(bad_policy(BAD[name])))


@pytest.mark.parametrize("name", ["unknown action", "unknown operator"])
def test_cfn_lint_tells_which_policy_it_means(name: str) -> None:
    resource = "".join(filter(str.isalnum, name))
    assert any(resource in (match.path or ()) for match in lint_as_template())
