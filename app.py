"""One handler per event or manual call; chalicelib/pipeline.py tells what happens then."""

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate

from chalicelib.admin.calls import call
from chalicelib.events import (
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstanceStateChanged,
    InvocationEnded,
    LaunchLifecycleAction,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.routing import handle

app = Chalice(app_name="swarmkeeper")


@app.on_cw_event(SpotInterruptionWarning.PATTERN)
def on_spot_interruption_warning(event: CloudWatchEvent) -> list[str]:
    """EC2 takes a Spot instance back: evacuate its node."""
    return handle(SpotInterruptionWarning, event.to_dict())


@app.on_cw_event(RebalanceRecommended.PATTERN)
def on_rebalance_recommended(event: CloudWatchEvent) -> list[str]:
    """EC2 sees a Spot instance at risk: as the cluster is configured."""
    return handle(RebalanceRecommended, event.to_dict())


@app.on_cw_event(InstanceStateChanged.PATTERN)
def on_instance_state_changed(event: CloudWatchEvent) -> list[str]:
    """An instance runs: its node joins; it ends or has ended: its node leaves the swarm."""
    return handle(InstanceStateChanged, event.to_dict())


@app.on_cw_event(SpotRequestFulfilled.PATTERN)
def on_spot_request_fulfilled(event: CloudWatchEvent) -> list[str]:
    """A Spot request has its instance: noted."""
    return handle(SpotRequestFulfilled, event.to_dict())


@app.on_cw_event(FleetInstanceChanged.PATTERN)
def on_fleet_instance_changed(event: CloudWatchEvent) -> list[str]:
    """A fleet has launched or lost an instance, or is going to: join, remove or evacuate it."""
    return handle(FleetInstanceChanged, event.to_dict())


@app.on_cw_event(FleetNoted.PATTERN)
def on_fleet_noted(event: CloudWatchEvent) -> list[str]:
    """A fleet or a request of it has changed: noted; told to people if the fleet is halted."""
    return handle(FleetNoted, event.to_dict())


@app.on_cw_event(FleetFailed.PATTERN)
def on_fleet_failed(event: CloudWatchEvent) -> list[str]:
    """A fleet could not do what it should: told to people."""
    return handle(FleetFailed, event.to_dict())


@app.on_cw_event(LaunchLifecycleAction.PATTERN)
def on_launch_held(event: CloudWatchEvent) -> list[str]:
    """An Auto Scaling group waits for a new instance: join it, then let the group go on."""
    return handle(LaunchLifecycleAction, event.to_dict())


@app.on_cw_event(TerminateLifecycleAction.PATTERN)
def on_termination_held(event: CloudWatchEvent) -> list[str]:
    """An Auto Scaling group waits before it ends an instance: evacuate it, then let the group go on."""
    return handle(TerminateLifecycleAction, event.to_dict())


@app.on_cw_event(HealthNotice.PATTERN)
def on_health_notice(event: CloudWatchEvent) -> list[str]:
    """EC2 will do something to instances at a known time: evacuate them ahead of it."""
    return handle(HealthNotice, event.to_dict())


@app.on_cw_event(InvocationEnded.PATTERN)
def on_command_finished(event: CloudWatchEvent) -> list[str]:
    """A host has done, or not done, what it was sent."""
    return handle(InvocationEnded, event.to_dict())


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: CloudWatchEvent) -> list[str]:
    """Every minute: finish what the events did not."""
    return handle(Tick, event.to_dict())


@app.lambda_function()
def status(event: Any, _: Any) -> dict[str, Any]:
    """`{}` or `{"cluster": …}`: settings, managers, records and incidents."""
    return call("status", event)


@app.lambda_function()
def evacuate(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …, "seconds": 600, "give_back": 3600}`: empty a node."""
    return call("evacuate", event)


@app.lambda_function()
def give_back(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …}`: let an evacuated node have tasks again."""
    return call("give_back", event)


@app.lambda_function()
def configure(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "recommendations": "note", "rebalance": true, …}`: how to treat a cluster."""
    return call("configure", event)


@app.lambda_function()
def pause(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …}`: record events, send nothing."""
    return call("pause", event)


@app.lambda_function()
def resume(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …}`: send again, and catch up at once."""
    return call("resume", event)


@app.lambda_function()
def redrive(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …}`: do again what was given up; without an instance, all of it."""
    return call("redrive", event)


@app.lambda_function()
def init(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …}`: make the swarm, on its first manager."""
    return call("init", event)


@app.lambda_function()
def rotate_tokens(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …}`: new join tokens."""
    return call("rotate_tokens", event)


@app.lambda_function()
def recover(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …, "confirm": <cluster>}`: a new swarm from one manager's state."""
    return call("recover", event)


@app.lambda_function()
def promote(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …}`: make a node a manager."""
    return call("promote", event)


@app.lambda_function()
def demote(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "instance": …}`: make a node a worker, if the managers' quorum allows it."""
    return call("demote", event)


@app.lambda_function()
def rebalance(event: Any, _: Any) -> dict[str, Any]:
    """`{"cluster": …, "services": […], "mode": "surge", "max_moves": 10}`: spread services evenly again."""
    return call("rebalance", event)
