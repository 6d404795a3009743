"""Make another stage: its entry in ``.chalice/config.json`` and its policies, copied from one that is there.

A second region of an account needs a stage of its own: the names of roles are the account's, those of buckets
the world's. Stages do not see one another: the instances and groups of each name it in a tag.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

CHALICE = Path(__file__).resolve().parent.parent / ".chalice"
NAME = re.compile(
    r"[a-z0-9][a-z0-9-]{0,18}[a-z0-9]|[a-z0-9]"
)  # as the stack's parameter, and in a bucket's name
DEFAULT_STAGE = "prod"  # to which belongs what no tag says the stage of
STAGE_KEY = "esourceTag/swarmkeeper:stage"  # ends the condition keys of all services: ssm:r…, autoscaling:R…
STRICT, LENIENT = "StringEquals", "StringEqualsIfExists"


class StageError(Exception):
    """The stage cannot be made; nothing was written."""


def main() -> int:
    """Copy a stage and say how it is deployed; answers the exit status."""
    parser = argparse.ArgumentParser("python -m bootstrap.stages", description=__doc__)
    parser.add_argument("--copy", required=True, metavar="STAGE", help="the stage to copy, such as prod")
    parser.add_argument("--to", required=True, metavar="STAGE", help="the new one, such as prod-us")
    options = parser.parse_args()
    try:
        copy_stage(options.copy, options.to)
    except StageError as error:
        print(f"stages: {error}", file=sys.stderr)
        return 1
    print(f"stage {options.to} is made; with its region in the environment: make deploy STAGE={options.to}")
    print(name_instances(options.to))
    return 0


def name_instances(stage: str) -> str:
    """Say which instances are a stage's."""
    without = ", or that lack this tag" if stage == DEFAULT_STAGE else ""
    return f"its instances and groups are those tagged swarmkeeper:stage={stage}{without}"


def copy_stage(source: str, target: str, folder: Path = CHALICE) -> None:
    """Copy a stage's entry and policies, each name of the stage in them changed. Raises StageError."""
    config = json.loads((folder / "config.json").read_text())
    stages = config["stages"]
    if source not in stages:
        raise StageError(f"there is no stage {source!r} in config.json; known are {', '.join(stages)}")
    if target in stages:
        raise StageError(f"stage {target!r} is in config.json already")
    if not NAME.fullmatch(target):
        raise StageError(f"{target!r} is no name of a stage: 1 to 20 small letters, digits and '-'")
    word = re.compile(rf"\b{re.escape(source)}\b")
    stages[target] = json.loads(word.sub(target, json.dumps(stages[source])))
    policies = {stages[source]["iam_policy_file"]} | {
        function["iam_policy_file"]
        for function in stages[source]["lambda_functions"].values()
        if "iam_policy_file" in function
    }
    for name in policies:
        policy = _set_conditions(json.loads(word.sub(target, (folder / name).read_text())), target)
        (folder / word.sub(target, name)).write_text(json.dumps(policy, indent=2) + "\n")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _set_conditions(policy: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return the policy with its conditions on the stage: only the default one does without the tag."""
    wanted = LENIENT if stage == DEFAULT_STAGE else STRICT
    for statement in policy["Statement"]:
        conditions = statement.get("Condition", {})
        keys = conditions.pop(STRICT, {}) | conditions.pop(LENIENT, {})
        for key, value in keys.items():
            operator = wanted if key.endswith(STAGE_KEY) else STRICT
            conditions.setdefault(operator, {})[key] = value
    return policy


if __name__ == "__main__":
    sys.exit(main())
