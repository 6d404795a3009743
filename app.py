"""One handler per event or manual call; chalicelib/routing.py and pipeline.py do the rest."""

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
from chalicelib.routing import guard, handle

app = Chalice(app_name="swarmkeeper")


@app.on_cw_event(SpotInterruptionWarning.PATTERN)
def on_spot_interruption_warning(event: CloudWatchEvent) -> list[str]:
    """Evacuate the node of a Spot instance that EC2 takes back."""
    return handle(SpotInterruptionWarning, event.to_dict())


@app.on_cw_event(SpotInterruptionWarning.PATTERN)
def guard_spot_interruption_warning(event: CloudWatchEvent) -> list[str]:
    """Take over the evacuation of a warned node, should the handler of the warning die."""
    return guard(event.to_dict())


@app.on_cw_event(RebalanceRecommended.PATTERN)
def on_rebalance_recommended(event: CloudWatchEvent) -> list[str]:
    """Note a Spot instance at risk, or evacuate its node, as the cluster is configured."""
    return handle(RebalanceRecommended, event.to_dict())


@app.on_cw_event(InstanceStateChanged.PATTERN)
def on_instance_state_changed(event: CloudWatchEvent) -> list[str]:
    """Join the node of an instance that runs; remove the node of one that ends."""
    return handle(InstanceStateChanged, event.to_dict())


@app.on_cw_event(SpotRequestFulfilled.PATTERN)
def on_spot_request_fulfilled(event: CloudWatchEvent) -> list[str]:
    """Log that a Spot request has its instance."""
    return handle(SpotRequestFulfilled, event.to_dict())


@app.on_cw_event(FleetInstanceChanged.PATTERN)
def on_fleet_instance_changed(event: CloudWatchEvent) -> list[str]:
    """Join, remove or evacuate the node of an instance that a fleet launches or loses."""
    return handle(FleetInstanceChanged, event.to_dict())


@app.on_cw_event(FleetNoted.PATTERN)
def on_fleet_noted(event: CloudWatchEvent) -> list[str]:
    """Log a change of a fleet or its request; notify people if the fleet is halted."""
    return handle(FleetNoted, event.to_dict())


@app.on_cw_event(FleetFailed.PATTERN)
def on_fleet_failed(event: CloudWatchEvent) -> list[str]:
    """Notify people of a fleet that could not do what it should."""
    return handle(FleetFailed, event.to_dict())


@app.on_cw_event(LaunchLifecycleAction.PATTERN)
def on_launch_held(event: CloudWatchEvent) -> list[str]:
    """Join the new instance for which an Auto Scaling group waits, then let the group go on."""
    return handle(LaunchLifecycleAction, event.to_dict())


@app.on_cw_event(TerminateLifecycleAction.PATTERN)
def on_termination_held(event: CloudWatchEvent) -> list[str]:
    """Evacuate the instance that an Auto Scaling group is to end, then let the group go on."""
    return handle(TerminateLifecycleAction, event.to_dict())


@app.on_cw_event(HealthNotice.PATTERN)
def on_health_notice(event: CloudWatchEvent) -> list[str]:
    """Evacuate instances ahead of a change that AWS Health has announced."""
    return handle(HealthNotice, event.to_dict())


@app.on_cw_event(InvocationEnded.PATTERN)
def on_command_finished(event: CloudWatchEvent) -> list[str]:
    """Conclude a command that has ended on a host."""
    return handle(InvocationEnded, event.to_dict())


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: CloudWatchEvent) -> list[str]:
    """Finish, each minute, what the events did not."""
    return handle(Tick, event.to_dict())


@app.lambda_function()
def status(event: Any, _: Any) -> dict[str, Any]:
    """Show settings, managers, records and incidents: `{}` or `{"cluster": …}`."""
    return call("status", event)


@app.lambda_function()
def evacuate(event: Any, _: Any) -> dict[str, Any]:
    """Empty a node: `{"cluster": …, "instance": …, "seconds": 600, "give_back": 3600}`."""
    return call("evacuate", event)


@app.lambda_function()
def give_back(event: Any, _: Any) -> dict[str, Any]:
    """Let an evacuated node have tasks again: `{"cluster": …, "instance": …}`."""
    return call("give_back", event)


@app.lambda_function()
def configure(event: Any, _: Any) -> dict[str, Any]:
    """Set how to treat a cluster: `{"cluster": …, "recommendations": "note", "rebalance": true, …}`."""
    return call("configure", event)


@app.lambda_function()
def pause(event: Any, _: Any) -> dict[str, Any]:
    """Record events and send nothing: `{"cluster": …}`."""
    return call("pause", event)


@app.lambda_function()
def resume(event: Any, _: Any) -> dict[str, Any]:
    """Send again, and catch up at once: `{"cluster": …}`."""
    return call("resume", event)


@app.lambda_function()
def redrive(event: Any, _: Any) -> dict[str, Any]:
    """Do again what was given up, of one instance or all: `{"cluster": …, "instance": …}`."""
    return call("redrive", event)


@app.lambda_function()
def init(event: Any, _: Any) -> dict[str, Any]:
    """Make the swarm, on its first manager: `{"cluster": …, "instance": …}`."""
    return call("init", event)


@app.lambda_function()
def rotate_tokens(event: Any, _: Any) -> dict[str, Any]:
    """Make new join tokens: `{"cluster": …}`."""
    return call("rotate_tokens", event)


@app.lambda_function()
def recover(event: Any, _: Any) -> dict[str, Any]:
    """Make a new swarm from one manager's state: `{"cluster": …, "instance": …, "confirm": <cluster>}`."""
    return call("recover", event)


@app.lambda_function()
def promote(event: Any, _: Any) -> dict[str, Any]:
    """Make a node a manager: `{"cluster": …, "instance": …}`."""
    return call("promote", event)


@app.lambda_function()
def demote(event: Any, _: Any) -> dict[str, Any]:
    """Make a node a worker, if the quorum allows it: `{"cluster": …, "instance": …}`."""
    return call("demote", event)


@app.lambda_function()
def rebalance(event: Any, _: Any) -> dict[str, Any]:
    """Spread services evenly again: `{"cluster": …, "services": […], "mode": "surge", "max_moves": 10}`."""
    return call("rebalance", event)
