"""The agent's entry: ``agent <task> <arguments JSON>``, which prints one line on stdout: the result."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from bootstrap.balancer import operator
from bootstrap.clock import Clock, go_on_from
from bootstrap.commands import engine as engine_command
from bootstrap.commands import install as install_command
from bootstrap.commands import preflight as preflight_command
from bootstrap.commands import tasks as machine_tasks
from bootstrap.engine.client import SOCKET, Engine
from bootstrap.errors import BAD_INPUT, NOT_DONE, UNAVAILABLE, AgentError
from bootstrap.network import command as network
from bootstrap.network import tasks as network_tasks
from bootstrap.stacks import deploy, envoy_command
from bootstrap.tasks import (
    activate,
    evacuate,
    give_back,
    init,
    inspect,
    join,
    leave,
    rebalance,
    recover,
    roles,
    rotate_tokens,
)
from chalicelib.protocol.codec import decode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result
from chalicelib.protocol.strict_json import ProtocolError

RUN: dict[AgentTask, Callable[[Engine, Arguments, Clock], Result]] = {
    AgentTask.INIT: init.run,
    AgentTask.JOIN: join.run,
    AgentTask.ACTIVATE: activate.run,
    AgentTask.EVACUATE: evacuate.run,
    AgentTask.GIVE_BACK: give_back.run,
    AgentTask.LEAVE: leave.run,
    AgentTask.PROMOTE: roles.promote,
    AgentTask.DEMOTE: roles.demote,
    AgentTask.ROTATE_TOKENS: rotate_tokens.run,
    AgentTask.RECOVER: recover.run,
    AgentTask.REBALANCE: rebalance.run,
    AgentTask.INSPECT: inspect.run,
    **network_tasks.RUN,
    **machine_tasks.RUN,
}
ALONE = frozenset(  # need no target
    {
        *(AgentTask.INSPECT, AgentTask.REBALANCE, AgentTask.ROTATE_TOKENS),
        *network_tasks.RUN,
        *machine_tasks.RUN,
    }
)
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "preflight": preflight_command.command,
    "install": install_command.command,
    "engine": engine_command.command,
    **network.COMMANDS,
    "envoy": envoy_command.command,
    "operator": operator.command,
    "stack": deploy.command,
}
UNCHANGED = "; nothing was changed (see --help)"
HELP = """\
tasks, on a manager unless they say otherwise:
  init           make this host, the target, the first manager of a swarm; store the join tokens
  join           make this host, one of the targets, a member of the swarm, drained
  activate       let joined nodes have tasks, once they are labelled, Ready and known to all managers
  evacuate       move the tasks off nodes before their evacuation deadline, replacements first
  give-back      let evacuated nodes that live on have tasks again
  leave          remove the nodes of instances that are gone from the swarm
  promote        make nodes managers
  demote         make managers workers, as far as the quorum allows
  rotate-tokens  make new join tokens and store them
  recover        force a new swarm from the state of this host, the target, where the quorum is lost for good
  rebalance      spread services evenly again, with the fewest moves and never below strength
  inspect        show the nodes as this manager sees them; changes nothing
  create-network, remove-ingress
                 make a network of the swarm; remove the routing mesh
  install-plugin, verify-plugin, remove-peer
                 the network plugin on this host, any member of the swarm; see the command network-plugin
  preflight      on any host, with a description: whether it can be a node; changes nothing
  install        on any host, with a description: the engine that it names; run again, it changes nothing

arguments, as JSON:
  {"targets": [{"instance": "i-0123456789abcdef0", "address": "172.31.0.14"}], "deadline": 1764237600}
  targets  EC2 instance id and private IPv4 address; "node" with the Swarm node id where it is known
  deadline  the evacuation deadline, in seconds since the epoch; of other tasks, when to stop trying
  sent      the sender's clock when it sent this, likewise: how much time is left is counted from it, as this
            host's clock may be wrong; without it this host's clock counts
  managers  addresses to join at
  role      what joins: manager or worker
  labels    of the engines that join; swarmkeeper.cluster names the cluster: for init, join, rotate-tokens
            and recover
  rebalance what a rebalance may do, all optional: {"services": names or ids, without it those with the label
            rebalance.on.node.create=true; "mode": surge or rolling; "dry_run": plan only; "max_moves",
            "settle", "cooldown": numbers}; its deadline is 10 minutes from now if none is given
  network   what tasks about networks are to do: {"driver": overlay or the plugin's reference, "range": the
            plugin's, "peers": how many, "name", "subnet", "gateway": a network's, "peer", "address",
            "forget_only": a host that is gone, "dry_run": change nothing}
  inspection  its number, where the tick asks: inspect answers briefly, in a big swarm with a part of the ids
  description  what the cluster shall be, as one text: for preflight and install
  (commands say subjects and look for targets and inspection: agents of all versions understand that)

commands, with options and help of their own:
  network-plugin install, verify, remove-peer: the plugin that makes the networks between hosts
  network        create: a network of the swarm, its range checked
  ingress        remove: the routing mesh
  preflight      as the task, with options in place of the arguments, and a table
  install        as the task, with options in place of the arguments; --dry-run changes nothing
  engine         small questions to the engine: version, events, managers
  envoy          render: from the spec of a proxy to Envoy's configuration
  operator       rebalance whenever a node joins, without AWS; runs until it is ended
  stack          the stacks that come with the agent: deploy, remove, status, ls

exit status: 0 done, 1 not (all) done, 64 bad input, 69 something that is needed did not answer or refused
What is done, and why, is logged on stderr. The line on stdout is the result as JSON, also where a task
failed or had bad input; a task that does not exist has none.
"""


def main(words: Sequence[str]) -> int:
    """Run one task, or a command for people; answer the exit status."""
    if _is_command(words):
        return COMMANDS[words[0]](words[1:])
    options = _parser().parse_args(words)
    try:
        task = _task(options.task)
    except ProtocolError as error:
        return _say(str(error) + UNCHANGED, BAD_INPUT)
    left_out: list[tuple[str, str]] = []
    try:
        arguments = _arguments(task, options.arguments, left_out)
    except ProtocolError as error:
        return _failed(task, str(error) + UNCHANGED, BAD_INPUT)
    try:
        result = RUN[task](Engine(options.engine), arguments, go_on_from(arguments.sent))
    except AgentError as error:
        return _failed(task, str(error), UNAVAILABLE)
    result = _with_left_out(result, left_out)
    print(encode_result(result))
    for node in result.nodes:
        print(f"{node.instance}: {node.fate.value} {node.detail}".rstrip(), file=sys.stderr)
    return 0 if result.ok else NOT_DONE


def _is_command(words: Sequence[str]) -> bool:
    """Tell a command from the task of the same name, which has its arguments as JSON."""
    return bool(words) and words[0] in COMMANDS and not (len(words) > 1 and words[1].startswith("{"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "agent",
        description="Does one task of Swarmkeeper on this host.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", help="what to do, as listed below")
    parser.add_argument("arguments", nargs="?", default="{}", help="the task's arguments as one JSON object")
    parser.add_argument("--engine", default=SOCKET, help="the engine's socket (default: %(default)s)")
    return parser


def _task(name: str) -> AgentTask:
    try:
        return AgentTask(name)
    except ValueError:
        known = ", ".join(task.value for task in AgentTask)
        commands = ", ".join(COMMANDS)
        raise ProtocolError(
            f"unknown task {name!r}; the tasks are {known}; the commands {commands}"
        ) from None


def _arguments(task: AgentTask, text: str, left_out: list[tuple[str, str]]) -> Arguments:
    arguments = decode_arguments(text, left_out)
    for instance, reason in left_out:
        print(f"agent: a target {instance or 'without an instance'} is left out: {reason}", file=sys.stderr)
    if task is AgentTask.EVACUATE and not arguments.deadline:
        raise ProtocolError("evacuate needs a deadline, in seconds since the epoch")
    if task not in ALONE and not arguments.targets:
        raise ProtocolError(f"{task.value} needs at least one target")
    return arguments


def _with_left_out(result: Result, left_out: list[tuple[str, str]]) -> Result:
    """Report on targets that were left out: nothing was done about them, and whoever asked has to know."""
    if not left_out:
        return result
    rows = [NodeReport(one, "", Fate.UNFINISHED, f"left out: {why}") for one, why in left_out if one]
    return replace(result, ok=False, nodes=(*result.nodes, *rows))


def _failed(task: AgentTask, error: str, status: int) -> int:
    """Report an error twice: whoever sent the task reads stdout, people read stderr."""
    print(encode_result(Result(task, ok=False, error=error)))
    return _say(error, status)


def _say(message: str, status: int) -> int:
    print(f"agent: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
