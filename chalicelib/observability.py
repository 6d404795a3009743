"""Logs and metrics: every decision with its reason, as structured lines that CloudWatch reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from chalicelib.actions import Code
from chalicelib.metrics import Measure, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.actions import Action, Outcome, Plan
    from chalicelib.errors import SwarmkeeperError

logger = Logger(service="swarmkeeper", use_rfc3339=True, location=None)

NAMESPACE = "Swarmkeeper"
LOUD = frozenset({Code.LEFT_OPEN, Code.RAISED, Code.FAILED})
SECONDS = frozenset({Metric.SECONDS_TO_SAFE})


def decided(event: object, cluster: str, plan: Plan) -> None:
    """A plan was made: one line that says why, and what follows."""
    logger.info(
        plan.reason,
        extra={
            "event": type(event).__name__,
            "cluster": cluster,
            "instance": getattr(event, "instance", ""),
            "command": getattr(event, "command", ""),
            "drill": getattr(event, "drill", False),
            "actions": [type(action).__name__ for action in plan.actions],
        },
    )


def done(cluster: str, action: Action, outcome: Outcome) -> None:
    """An action was performed; one that left work open is an error that says what to do."""
    tell = logger.error if outcome.code in LOUD else logger.info
    known = {"cluster": cluster, "action": type(action).__name__, "outcome": outcome.code.value}
    tell(outcome.detail or outcome.code.value, extra=known | {"instance": getattr(action, "instance", "")})


def malformed(error: SwarmkeeperError) -> None:
    """An event was refused. Nobody can mend it by running it again, so it is told and counted, not raised."""
    logger.error(str(error))
    measure("", [Measure(Metric.MALFORMED_EVENTS)])


def unmanaged(metric: Metric, what: str) -> None:
    """Something that is not ours was passed over: a count, and a line for who looks closely."""
    logger.debug("not ours: %s", what)
    measure("", [Measure(metric)])


def measure(cluster: str, measures: Iterable[Measure]) -> None:
    """Metrics by cluster, with the instance as metadata.

    As a dimension it would make, and bill, a new metric for each instance that ever lived; as metadata it is
    found by a search in the logs.
    """
    for one in measures:
        unit = MetricUnit.Seconds if one.metric in SECONDS else MetricUnit.Count
        with single_metric(name=one.metric.value, unit=unit, value=one.value, namespace=NAMESPACE) as metric:
            metric.add_dimension("cluster", cluster or "none")
            if one.instance:
                metric.add_metadata("instance", one.instance)


def warn(text: str, **known: Any) -> None:
    """Something that a person should look at."""
    logger.warning(text, extra=known)
