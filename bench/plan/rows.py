"""A planned swarm in the engine's JSON, each row as long as a real one."""

from __future__ import annotations

from typing import Any

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.task import Task

PLUGINS = {
    "Log": "awslogs fluentd gcplogs gelf journald json-file local logentries splunk syslog",
    "Network": "bridge host ipvlan macvlan null overlay",
    "Volume": "local",
}
STAMP = "2026-01-01T00:00:00.123456789Z"
CERTIFICATE = "x" * 1_000
ENVIRONMENT = [f"SETTING_{at:02}=the value of this setting" for at in range(20)]
NETWORK = {
    "ID": "qz2cf1gn0pb8u4n3u1mzp8lni",
    "Version": {"Index": 20},
    "CreatedAt": STAMP,
    "UpdatedAt": STAMP,
    "Spec": {
        "Name": "app",
        "Labels": {"com.docker.stack.namespace": "app"},
        "DriverConfiguration": {"Name": "overlay"},
        "IPAMOptions": {"Driver": {"Name": "default"}},
        "Scope": "swarm",
    },
    "DriverState": {"Name": "overlay", "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"}},
    "IPAMOptions": {
        "Driver": {"Name": "default"},
        "Configs": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}],
    },
}


def node_row(node: Node) -> dict[str, Any]:
    """Write one row of ``GET /nodes``, some 3 kB."""
    system, architecture = node.platform
    generic = [
        {"DiscreteResourceSpec": {"Kind": kind, "Value": value}} for kind, value in node.generic.items()
    ]
    plugins = [{"Type": kind, "Name": name} for kind, names in PLUGINS.items() for name in names.split()]
    return {
        "ID": node.id,
        "Version": {"Index": node.version},
        "CreatedAt": STAMP,
        "UpdatedAt": STAMP,
        "Spec": node.spec,
        "Description": {
            "Hostname": node.hostname,
            "Platform": {"OS": system, "Architecture": architecture},
            "Resources": {"NanoCPUs": node.cpus, "MemoryBytes": node.memory, "GenericResources": generic},
            "Engine": {"EngineVersion": "24.0.7", "Labels": node.engine_labels, "Plugins": plugins},
            "TLSInfo": {"TrustRoot": CERTIFICATE},
        },
        "Status": {"State": node.state, "Addr": node.address},
    }


def service_row(service: Service) -> dict[str, Any]:
    """Write one row of ``GET /services``."""
    head = {"ID": service.id, "Version": {"Index": service.version}, "CreatedAt": STAMP, "UpdatedAt": STAMP}
    return {**head, "Spec": service.spec, "PreviousSpec": service.spec, "Endpoint": {"Spec": {}}}


def task_row(task: Task, of: Service) -> dict[str, Any]:
    """Write one row of ``GET /tasks``, some 4 kB: it holds its service's template and networks."""
    return {
        "ID": task.id,
        "Version": {"Index": 1},
        "CreatedAt": STAMP,
        "UpdatedAt": STAMP,
        "Labels": {},
        "Spec": {"ContainerSpec": _container(of), **of.template, "Networks": [{"Target": NETWORK["ID"]}]},
        "ServiceID": task.service,
        "Slot": task.slot,
        "NodeID": task.node,
        "Status": {
            "Timestamp": STAMP,
            "State": task.state,
            "Message": "started",
            "ContainerStatus": {"ContainerID": "0" * 64, "PID": 4711, "ExitCode": 0},
            "PortStatus": {},
        },
        "DesiredState": task.desired,
        "NetworksAttachments": [
            {"Network": NETWORK, "Addresses": ["10.0.1.17/24"]},
            {"Network": NETWORK, "Addresses": ["10.0.0.17/24"]},
        ],
    }


def _container(of: Service) -> dict[str, Any]:
    return {
        "Image": f"registry.example.com/team/{of.name}:1.0@sha256:{'0' * 64}",
        "Labels": {"com.docker.stack.namespace": "app"},
        "Env": ENVIRONMENT,
        "Privileges": {"CredentialSpec": None, "SELinuxContext": None},
        "StopGracePeriod": 10_000_000_000,
        "Healthcheck": {"Test": ["CMD-SHELL", "wget -q -O - http://127.0.0.1:8080/health || exit 1"]},
        "Isolation": "default",
    }
