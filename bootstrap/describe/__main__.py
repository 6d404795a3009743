"""Check the file that describes a cluster, show what it means, publish it for a stage.

Published is the description with its profile and all defaults, under its hash, beside the stage's agent, and
recorded for its cluster. Nothing is done on hosts by that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.describe.describing import Described, describe
from bootstrap.describe.faults import DescriptionError
from bootstrap.describe.publishing import PublishError, publish
from bootstrap.describe.schema import load_schema, with_stacks
from bootstrap.errors import BAD_INPUT, NOT_DONE
from chalicelib.protocol.description_codec import encode_description


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit status: 64 for a file that is wrong, 1 where AWS refused."""
    options = _parser().parse_args(words)
    if options.what == "schema":
        print(json.dumps(with_stacks(load_schema()), indent=2))
        return 0
    try:
        described = describe(options.file)
    except DescriptionError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        print(f"describe: {len(error.lines)} to correct; nothing was changed", file=sys.stderr)
        return BAD_INPUT
    for line in described.warnings:
        print(f"warning: {line}", file=sys.stderr)
    return _run(options, described)


def _run(options: argparse.Namespace, described: Described) -> int:
    if options.what == "show":
        print(_show(described, as_json=options.json))
    elif options.what == "check":
        print(f"{options.file}: {_summary(described)}")
    else:
        try:
            print(publish(described.description, options.stage))
        except (PublishError, BotoCoreError, ClientError) as error:
            print(f"describe: {error}", file=sys.stderr)
            return NOT_DONE
    return 0


def _summary(described: Described) -> str:
    wanted = described.description
    stacks = ", ".join(stack.name for stack in wanted.stacks) or "no stacks"
    return (
        f"cluster {wanted.name}, profile {wanted.profile}: engine {wanted.engine.version}, "
        f"networks by {wanted.network.driver_name}, {stacks}"
    )


def _show(described: Described, *, as_json: bool) -> str:
    text = encode_description(described.description)
    return text if as_json else yaml.safe_dump(json.loads(text), sort_keys=False).rstrip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bootstrap.describe", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True, metavar="check|show|publish|schema")
    whats.add_parser("schema", help="print the schema of the file, with the stacks that there are")
    check = whats.add_parser("check", help="say all that is wrong with a file")
    show = whats.add_parser("show", help="show what a file means, with its profile and all defaults")
    show.add_argument("--json", action="store_true", help="as JSON, which is what is published")
    up = whats.add_parser("publish", help="upload what a file means, and record it for its cluster")
    up.add_argument("--stage", required=True, help="the Chalice stage, such as dev or prod")
    for one in (check, show, up):
        one.add_argument("file", type=Path, help="such as blue.yaml")
    return parser


if __name__ == "__main__":
    sys.exit(main())
