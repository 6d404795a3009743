"""A cache of the tasks that take room on nodes but are not to be moved: most tasks, read seldom."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, NotManagerError
from bootstrap.engine.task import Task
from bootstrap.log import say

MAX_AGE_S = 5.0  # after which they are read again
READ_SHARE = 4  # times what the reading took, where that is longer: a manager has other work too


@dataclass
class TaskCache:
    """All tasks of the swarm, some seconds old: enough to tell what room the other nodes have."""

    engine: Engine
    clock: Clock
    _tasks: tuple[Task, ...] = ()
    _due: float = 0.0  # when to read them again, in seconds since the epoch

    def tasks(self) -> tuple[Task, ...]:
        """Read them, or answer what was read last; none where they could never be read.

        Then all nodes seem to have room, and where they have none Swarm holds the new tasks back while the
        old ones serve: better than not to begin.
        """
        started = self.clock.now()
        if started >= self._due:
            try:
                self._tasks = self.engine.tasks()
            except NotManagerError:
                raise
            except EngineError as error:
                say(f"{error}; what room is left is judged without")
            took = self.clock.now() - started
            self._due = self.clock.now() + max(MAX_AGE_S, READ_SHARE * took)
        return self._tasks
