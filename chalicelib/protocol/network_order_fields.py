"""What each field of an order about networks has to be.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from chalicelib.protocol import checks
from chalicelib.protocol.network_order import NetworkOrder
from chalicelib.protocol.result_fields import checked, count, flag, row_of

REFERENCE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:@-]{0,254}")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")


def _subnet(value: Any) -> str:
    try:
        ipaddress.IPv4Network(value if isinstance(value, str) else "")
    except ValueError:
        return "an IPv4 network such as 10.32.100.0/24"
    return ""


def _address(value: Any) -> str:
    try:
        ipaddress.IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        return "an IPv4 address"
    return ""


def _or_none(check: checks.Check) -> checks.Check:
    return lambda value: "" if value == "" else check(value)


_name = checks.matching(NAME, "at most 63 letters, digits, '.', '_' and '-', a letter or digit first")
_driver = checks.matching(REFERENCE, "overlay, or a plugin's reference such as name/plugin:1.0")
NETWORK_ORDER = {
    "driver": checked(_or_none(_driver)),
    "range": checked(_or_none(_subnet)),
    "peers": count,
    "name": checked(_or_none(_name)),
    "subnet": checked(_or_none(_subnet)),
    "gateway": checked(_or_none(_address)),
    "peer": checked(_or_none(_name)),
    "address": checked(_or_none(_address)),
    "forget_only": flag,
    "dry_run": flag,
}
read_network_order = row_of(NetworkOrder, NETWORK_ORDER)
