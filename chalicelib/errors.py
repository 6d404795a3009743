"""All errors that Swarmkeeper raises; each says what failed and what to do about it."""


class SwarmkeeperError(Exception):
    """The base of all errors of Swarmkeeper."""


class MalformedError(SwarmkeeperError, ValueError):
    """An event from outside does not have the agreed shape; the text names the field."""


class HybridError(MalformedError):
    """An event from outside is about a machine of a hybrid account (``mi-…``), which no cluster can have."""


class TransitionError(SwarmkeeperError):
    """A rule asked for a change of state that no node may make."""


class SettingError(SwarmkeeperError):
    """An environment variable is missing or wrong."""


class AgentMissingError(SwarmkeeperError):
    """No agent was published with this deployment."""


class DiscoveryLateError(SwarmkeeperError):
    """It is not known in time whether an instance belongs to a cluster."""


class ThrottledError(SwarmkeeperError):
    """AWS throttles a call (``Rate exceeded``) or does not answer: the same call may succeed later."""


class RefusedError(SwarmkeeperError):
    """AWS refuses a call: the same one is refused again until somebody fixes what AWS names."""


class UnreachableError(RefusedError):
    """Run Command cannot reach this host (``InvalidInstanceId``), so it refuses it: another host may do."""


class CallError(SwarmkeeperError, ValueError):
    """A manual call cannot be carried out; nothing was changed."""
