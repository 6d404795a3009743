"""Which IAM actions handlers need: derived from what they call, not written down a second time.

Each method of a port is read for the calls of boto3 that it makes, through whatever it calls itself. Which
methods a handler calls is recorded while a cluster in memory lives through many histories.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import botocore.session
from botocore import xform_name

from chalicelib.adapters.ports import World

APP = Path(__file__).parents[5] / "app.py"
SERVICES = ("autoscaling", "dynamodb", "ec2", "s3", "sns", "ssm")
# A transaction needs the right to each kind of write in it.
INDEX = "/index/open"  # of the table: a resource of its own, which a query of it needs
ALLOWED_BY = {"dynamodb:TransactWriteItems": ("dynamodb:PutItem",)}


@cache
def boto3_calls() -> dict[str, str]:
    """Map the name of each method of a client that the adapters use to its IAM action."""
    session = botocore.session.get_session()
    models = {service: session.get_service_model(service) for service in SERVICES}
    return {
        xform_name(operation): f"{service}:{operation}"
        for service, model in models.items()
        for operation in model.operation_names
    }


def needed_actions(adapter: type, method: str) -> frozenset[str]:
    """Derive the IAM actions that one method of an adapter needs; those on an index end with its name."""
    words = _words(getattr(adapter, method))
    place = INDEX if "IndexName" in words else ""
    return frozenset(allowed + place for name in words for allowed in _allowed_by(boto3_calls().get(name)))


def _allowed_by(action: str | None) -> tuple[str, ...]:
    return ALLOWED_BY.get(action, (action,)) if action else ()


def _words(function: FunctionType, seen: frozenset[FunctionType] = frozenset()) -> set[str]:
    """Collect the names and texts in a function and in all functions of the adapters that it calls."""
    own = _own_words(function)
    seen |= {function}
    return set(own).union(*(_words(called, seen) for called in _called(function, own) - seen))


@cache
def _own_words(function: FunctionType) -> frozenset[str]:
    words: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        match node:
            case ast.Attribute(attr=word) | ast.Name(id=word) | ast.Constant(value=str(word)):
                words.add(word)
            case ast.keyword(arg=str(word)):
                words.add(word)
    return frozenset(words)


def _called(function: FunctionType, words: frozenset[str]) -> set[FunctionType]:
    """Find the functions behind names: those of the module, and of the classes that it knows."""
    module = sys.modules[function.__module__]
    owners = [module, *(one for one in vars(module).values() if isinstance(one, type))]
    found = [getattr(owner, word, None) for owner in owners for word in words]
    functions = [one for one in found if isinstance(one, FunctionType)]
    return {one for one in functions if one.__module__.startswith("chalicelib.adapters")}


@cache
def handlers() -> dict[str, str]:
    """Map each event class and each call that app.py names to its handler, and "guard" to the guard."""
    tree = ast.parse(APP.read_text())
    return {
        "guard" if ast.unparse(call.func) == "guard" else _first_argument(call): function.name
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("handle", "call", "guard")
    }


def _first_argument(call: ast.Call) -> str:
    first = call.args[0]
    return first.id if isinstance(first, ast.Name) else ast.literal_eval(first)


@dataclass
class Recorder:
    """Records which methods of which ports each handler calls; ``handler`` is the one that runs."""

    handler: str = ""
    methods: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    def wrap(self, world: World) -> World:
        """Return the world with each port recorded."""
        kept = {"clock", "timeouts", "deployment", "holder"}
        names = {one.name for one in fields(World)} - kept
        ports: dict[str, Any] = {name: _Port(self, name, getattr(world, name)) for name in names}
        return replace(world, **ports)


class _Port:
    """A port whose calls are recorded."""

    def __init__(self, recorder: Recorder, name: str, port: Any) -> None:
        self._recorder, self._name, self._port = recorder, name, port

    def __getattr__(self, method: str) -> Any:
        self._recorder.methods[self._recorder.handler].add((self._name, method))
        return getattr(self._port, method)
