"""Profiles of hypothesis: `full`, `quick` for `make check`, `long` for `make fuzz`; models of AWS, read once.

Hypothesis judges what is decided and never how fast; in CI it takes the same examples on each run.
"""

from __future__ import annotations

import os
from functools import cache

from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings

if settings.get_current_profile_name() == "ci":  # its own, which it loads there: no deadline either
    settings.register_profile("full", settings())
else:
    settings.register_profile("full", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("full"), max_examples=10)
settings.register_profile("long", settings.get_profile("full"), max_examples=5000, derandomize=False)
settings.load_profile("full")

# Each test has an AWS and clients of its own. Without this, botocore would read megabytes of JSON for each of
# them, and moto would invent 1,300 images.
READ = cache(JSONFileLoader().load_file)
setattr(JSONFileLoader, "load_file", lambda _, file_path: READ(file_path))  # noqa: B010 - mypy has no other way
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
