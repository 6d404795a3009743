"""What can go wrong, as one small tree: every error says what failed and what to do about it."""


class SwarmkeeperError(Exception):
    """Any failure that Swarmkeeper itself names."""


class MalformedError(SwarmkeeperError, ValueError):
    """An event from outside that does not have the agreed shape; the text names the field."""


class TransitionError(SwarmkeeperError):
    """A rule asked for a change of state that no node may make."""


class SettingError(SwarmkeeperError):
    """An environment variable is missing or wrong."""


class AgentMissingError(SwarmkeeperError):
    """No agent was published with this deployment."""


class DiscoveryLateError(SwarmkeeperError):
    """Whether an instance belongs to a cluster could not be found out in time."""


class ThrottledError(SwarmkeeperError):
    """AWS asks for fewer calls (``Rate exceeded``) or does not answer: the same call may succeed later."""


class RefusedError(SwarmkeeperError):
    """AWS refuses a call that is good to have but that nothing else waits for; it is tried again later."""


class CallError(SwarmkeeperError, ValueError):
    """A manual call that cannot be done as it was asked for; nothing was changed."""


class UnreachableError(SwarmkeeperError):
    """Run Command cannot reach this host (``InvalidInstanceId``): another host may do."""
