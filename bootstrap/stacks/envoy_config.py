"""From the spec of a proxy to Envoy's own configuration; pure."""

from __future__ import annotations

import json
from typing import Any

from bootstrap.stacks.envoy_spec import Spec

TYPE = "type.googleapis.com/envoy"
RETRY_ON = "5xx,reset,connect-failure,retriable-4xx"
FUNCTION, SPANS = "function", "spans"
DNS_S = 1.0  # between two look-ups of the function's tasks
CONNECT_S = 1.0


def render(spec: Spec) -> str:
    """Write Envoy's configuration as JSON, which Envoy reads like YAML; equal specs give equal text."""
    clusters = [_function(spec), *([_spans(spec)] if spec.tracing.host else [])]
    config = {
        "node": {"id": f"{spec.name}-proxy", "cluster": f"{spec.name}-proxy"},
        "admin": {"address": _address("127.0.0.1", 9901)},
        "static_resources": {"listeners": [_listener(spec)], "clusters": clusters},
    }
    return json.dumps(config, indent=1) + "\n"


def _listener(spec: Spec) -> dict[str, Any]:
    manager: dict[str, Any] = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": spec.name,
        "generate_request_id": True,
        "route_config": {"virtual_hosts": [{"name": spec.name, "domains": ["*"], "routes": [_route(spec)]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    if spec.tracing.host:
        manager["tracing"] = _tracing(spec)
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": spec.name, "address": _address("0.0.0.0", spec.listen), "filter_chains": [chain]}  # noqa: S104


def _route(spec: Spec) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": FUNCTION, "timeout": _seconds(spec.timeout_s)}
    if spec.retry.attempts:
        previous = {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": f"{TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
        action["retry_policy"] = {
            "retry_on": RETRY_ON,
            "num_retries": spec.retry.attempts,
            "per_try_timeout": _seconds(spec.try_s),
            "retry_back_off": {
                "base_interval": _seconds(spec.retry.first_s),
                "max_interval": _seconds(spec.retry.most_s),
            },
            "retry_host_predicate": [previous],  # another task, where there is one
            "host_selection_retry_max_attempts": 5,
        }
    return {"match": {"prefix": "/"}, "route": action}


def _tracing(spec: Spec) -> dict[str, Any]:
    zipkin = {
        "@type": f"{TYPE}.config.trace.v3.ZipkinConfig",
        "collector_cluster": SPANS,
        "collector_endpoint": "/api/v2/spans",
        "collector_endpoint_version": "HTTP_JSON",
    }
    return {
        "provider": {"name": "envoy.tracers.zipkin", "typed_config": zipkin},
        "random_sampling": {"value": spec.tracing.percent},
    }


def _function(spec: Spec) -> dict[str, Any]:
    breaker, ejection = spec.breaker, spec.ejection
    limits = {
        "max_connections": breaker.connections,
        "max_pending_requests": breaker.waiting,
        "max_requests": breaker.requests,
        "max_retries": breaker.retries,
        "track_remaining": True,
    }
    return {
        **_cluster(FUNCTION, spec.upstream, spec.port),
        "circuit_breakers": {"thresholds": [limits]},
        "outlier_detection": {
            "consecutive_5xx": ejection.errors,
            "interval": _seconds(ejection.look_s),
            "base_ejection_time": _seconds(ejection.for_s),
            "max_ejection_percent": ejection.most_percent,
            "enforcing_consecutive_5xx": 100,
            "enforcing_success_rate": 0,
        },
    }


def _spans(spec: Spec) -> dict[str, Any]:
    return _cluster(SPANS, spec.tracing.host, spec.tracing.port)


def _cluster(name: str, host: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": name,
        "type": "STRICT_DNS",  # all addresses that the name has: those of the tasks
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": _seconds(DNS_S),
        "connect_timeout": _seconds(CONNECT_S),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _seconds(number: float) -> str:
    return f"{number:g}s"
