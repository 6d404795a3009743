"""One handler per event; chalicelib/pipeline.py tells what happens then."""

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate

from chalicelib.events import InstanceStateChanged, InvocationEnded, SpotInterruptionWarning, Tick
from chalicelib.pipeline import handle
from chalicelib.status import status_of

app = Chalice(app_name="swarmkeeper")


@app.on_cw_event(SpotInterruptionWarning.PATTERN)
def on_spot_interruption_warning(event: CloudWatchEvent) -> list[str]:
    """EC2 takes a Spot instance back: evacuate its node."""
    return handle(SpotInterruptionWarning, event.to_dict())


@app.on_cw_event(InstanceStateChanged.PATTERN)
def on_instance_state_changed(event: CloudWatchEvent) -> list[str]:
    """An instance ends or has ended: take its node out of the swarm."""
    return handle(InstanceStateChanged, event.to_dict())


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
    """`chalice invoke -n status`: the records of all clusters, or of `{"cluster": …}`."""
    return status_of(event)
