import json
from chalicelib.events import *
from chalicelib.pipeline import handle
from tests.unit.chalicelib.fakes import *
from datetime import datetime, UTC
from pathlib import Path


def at(t):
    return datetime.fromtimestamp(t, UTC).isoformat().replace("+00:00", "Z")


def ev(name, t, **d):
    p = json.loads((Path(__file__).parent.parent / "events" / f"{name}.json").read_text())
    p["time"] = at(t)
    p["detail"] |= d
    return p


def test_it():
    lab = Lab()
    print(
        handle(
            SpotInterruptionWarning,
            ev("spot_interruption_warning", lab.clock.time, **{"instance-id": WORKER}),
            lab.world(),
        )
    )
    print(lab.node(), lab.hosts.sent, lab.store.leases)
    lab.clock.sleep(10)
    s = lab.hosts.sent[0]
    print(
        handle(
            InvocationEnded,
            ev("ssm_invocation_success", lab.clock.time, **{"instance-id": s.manager, "command-id": s.id}),
            lab.world(),
        )
    )
    print(lab.node())
    lab.fleet.turn(WORKER, InstanceState.TERMINATED)
    for i in range(3):
        lab.clock.sleep(60)
        print(
            handle(
                Tick,
                {
                    "source": "aws.events",
                    "detail-type": "Scheduled Event",
                    "time": at(lab.clock.time),
                    "detail": {},
                },
                lab.world(),
            )
        )
    print(lab.node())
    assert 0
