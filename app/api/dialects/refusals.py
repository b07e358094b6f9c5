"""What another service's clients can ask for and this one cannot do: refused in words, never ignored."""

from jobs.errors import LodestarError


class NotSupportedError(LodestarError):
    """The dialect has this call, but the service behind it cannot do what it asks for."""

    type = "not_supported"
