"""Make new join tokens and store them; those that were stolen, or seen by too many, are worthless then."""

from __future__ import annotations

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.host.host import Host, cluster_of
from bootstrap.log import say
from bootstrap.tasks.init import refuse_tokens_of_another_swarm, store_tokens
from bootstrap.tasks.join import THIS_HOST
from chalicelib.protocol.messages import AgentTask, Arguments, Result


def run(engine: Engine, arguments: Arguments, clock: Clock, host: Host = THIS_HOST) -> Result:  # noqa: ARG001 as all
    """Rotate both tokens, then store the new ones; run again after a crash, it rotates once more.

    Raises AgentError, before anything is changed, where another swarm's tokens are stored; where only the
    storing failed, nothing can join until it is run again.
    """
    cluster = cluster_of(arguments)
    engine.node_id()
    refuse_tokens_of_another_swarm(engine, cluster, host)
    host.store_tokens(cluster, engine.tokens())  # first see that it can: tokens not stored would help nobody
    say(f"rotate both join tokens of {cluster}")
    engine.rotate_tokens()
    store_tokens(engine, cluster, host)
    return Result(AgentTask.ROTATE_TOKENS, ok=True)
