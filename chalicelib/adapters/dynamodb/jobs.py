"""The last job of each task in each cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import job_item, number, try_job_from
from chalicelib.adapters.dynamodb.table import Table

if TYPE_CHECKING:
    from chalicelib.state.job import Job


@dataclass(frozen=True, slots=True)
class DynamoJobs:
    """ports.JobRecords in the table."""

    table: Table

    def list_all(self, cluster: str) -> tuple[Job, ...]:
        """Answer what was ordered last, one for each task."""
        return tuple(filter(None, map(try_job_from, self.table.query_prefix(cluster, "errand#"))))

    def replace(self, cluster: str, before: Job | None, after: Job) -> bool:
        """Begin a job (``before`` is None) or replace it; False if it is not the one that was read."""
        item = job_item(cluster, after)
        if before is None:
            return self.table.put(item, "attribute_not_exists(#item)", {"#item": "item"})
        values = {":version": number(before.version)}
        return self.table.put(item, "#version = :version", {"#version": "version"}, values)
