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
ERROR_CODES = frozenset({Code.LEFT_OPEN, Code.RAISED, Code.FAILED})
METRICS_IN_SECONDS = frozenset({Metric.SECONDS_TO_SAFE})


def decided(event: object, cluster: str, plan: Plan) -> None:
    """Log a plan: one line that says why, and what follows."""
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
    """Log how an action came out; one that left work open is an error that says what to do."""
    log = logger.error if outcome.code in ERROR_CODES else logger.info
    known = {"cluster": cluster, "action": type(action).__name__, "outcome": outcome.code.value}
    log(outcome.detail or outcome.code.value, extra=known | {"instance": getattr(action, "instance", "")})


def malformed(error: SwarmkeeperError) -> None:
    """Log and count a malformed event; it is not raised, as another run would not help."""
    logger.error(str(error))
    measure("", [Measure(Metric.MALFORMED_EVENTS)])


def unmanaged(metric: Metric, what: str) -> None:
    """Count something unmanaged that was passed over; the debug log names it."""
    logger.debug("not ours: %s", what)
    measure("", [Measure(metric)])


def measure(cluster: str, measures: Iterable[Measure]) -> None:
    """Put metrics by cluster, with the instance as metadata.

    As a dimension it would make, and bill, a new metric for each instance that ever lived; as metadata it is
    found by a search in the logs.
    """
    for one in measures:
        unit = MetricUnit.Seconds if one.metric in METRICS_IN_SECONDS else MetricUnit.Count
        with single_metric(name=one.metric.value, unit=unit, value=one.value, namespace=NAMESPACE) as metric:
            metric.add_dimension("cluster", cluster or "none")
            if one.instance:
                metric.add_metadata("instance", one.instance)


def warn(text: str, **known: Any) -> None:
    """Log something that a person should look at."""
    logger.warning(text, extra=known)
