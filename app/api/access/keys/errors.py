"""The errors of admission."""

from jobs.errors import LodestarError


class UnauthenticatedError(LodestarError):
    """The request brings no key that counts."""

    type = "unauthenticated"


class MissingScopeError(LodestarError):
    """The key may not do this."""

    type = "missing_scope"


class KeyInQueryError(LodestarError):
    """The request's address holds a key."""

    type = "key_in_query"
