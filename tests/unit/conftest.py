"""Hypothesis judges what is decided and never how fast; in CI it takes the same examples on each run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

if settings.get_current_profile_name() != "ci":  # its own, which it loads there: no deadline either
    settings.register_profile("people", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("people")
