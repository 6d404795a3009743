"""What a failure has left as it was, by task, and what people are to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.protocol.messages import AgentTask

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.state.cluster import Cluster

RECOVER = "docs/operations.md#recover-from-a-lost-quorum"
NO_QUORUM = ("managers", f"bring managers back; if their quorum is lost for good, recover: {RECOVER}")
# What to do about a refusal, by AWS's code or the words for it in the reason.
REFUSALS = {
    "AccessDeniedException": "allow the role that AWS names the call that it names",
    "UnsupportedPlatformType": "replace the instance by one that runs Linux",
    "cannot reach": "see that the instance runs, and its SSM agent with a role that lets it register",
    "InvalidDocument": "allow the document AWS-RunShellScript in this account and region",
}
LEFT_BY_NODE_TASK = {
    AgentTask.JOIN: "the instance runs, but is no node of the swarm",
    AgentTask.ACTIVATE: "the node is in the swarm, but has no tasks: it stays drained",
    AgentTask.EVACUATE: "the node may still run tasks; Swarm replaces them when its instance ends",
    AgentTask.GIVE_BACK: "the node is empty and stays drained",
    AgentTask.LEAVE: "the node of the ended instance is still listed in the swarm",
}
LEFT_BY_JOB = {
    AgentTask.INIT: "the cluster may have no swarm yet, or one whose join tokens are not stored",
    AgentTask.ROTATE_TOKENS: "the tokens in Parameter Store may not be the swarm's: nothing can join then",
    AgentTask.RECOVER: "the host is as the command left it; the command is not sent again automatically",
    AgentTask.PROMOTE: "the node keeps the role that it has",
    AgentTask.DEMOTE: "the node keeps the role that it has",
    AgentTask.REBALANCE: "no replica is missing; a service that was begun may have more than it asks for",
}


def explain_host_failure(event: CommandFinished, cluster: Cluster) -> tuple[str, str]:
    """Return key and fix where commands fail; only a swarm that answered can lead to recover."""
    if event.unfetched:
        again = f"{cluster.deployment.write_deploy()} again, and let the managers reach S3"
        return "agent", f"{again}; their swarm was not asked"
    if event.result is None:
        return "hosts", "fix on the managers what is named; their swarm was not asked"
    return NO_QUORUM


def find_fix(reason: str, otherwise: str = "fix the cause") -> str:
    """Return what to do about the reason for which something was not done."""
    return next((fix for words, fix in REFUSALS.items() if words in reason), otherwise)
