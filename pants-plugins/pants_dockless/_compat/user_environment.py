"""The environment of the user, shared by both implementations of `environment_vars`."""

from pants.engine.env_vars import CompleteEnvironmentVars, EnvironmentVars, EnvironmentVarsRequest
from pants.engine.internals.session import SessionValues


def user_environment(session_values: SessionValues, request: EnvironmentVarsRequest) -> EnvironmentVars:
    """Return the variables of the process that the user started, also if processes run on a remote worker."""
    return EnvironmentVars(session_values[CompleteEnvironmentVars].get_subset(tuple(request.requested)))
