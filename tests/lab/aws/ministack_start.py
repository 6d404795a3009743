"""Starts ministack so that it loses no log and functions are soon active; its own interpreter runs this.

A thread of ministack reads what a handler writes. After a run it has 50 ms to come up with a first line, and
5 ms for each further one; where it takes longer, the run seems to have said nothing (seen once, with twelve
handlers starting at once on two cores). Each handler of ours writes a line, so waiting costs no time.

A new function is Pending for half a second there. A deployment waits for each of ours, one after the other.
"""

from functools import partialmethod

from ministack.app import main
from ministack.core.lambda_runtime import Worker
from ministack.services import lambda_svc

FIRST_LINE_WAIT_S = 5.0  # seconds
NEXT_LINE_WAIT_S = 0.02
PENDING_S = 0.02

Worker._drain_stderr_bounded = partialmethod(  # noqa: SLF001 - it has no setting
    Worker._drain_stderr_bounded,  # noqa: SLF001
    first_line_wait=FIRST_LINE_WAIT_S,
    idle_confirm=NEXT_LINE_WAIT_S,
    hard_cap=FIRST_LINE_WAIT_S,
)
lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = PENDING_S  # noqa: SLF001 - it has no setting either
main()
