"""Features of other services that this one lacks: refused in words, never ignored."""

from jobs.errors import LodestarError


class NotSupportedError(LodestarError):
    """The dialect has this feature, but this service does not support it."""

    type = "not_supported"
