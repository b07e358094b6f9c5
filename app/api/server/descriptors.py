"""File descriptors: how many this process may have open, and how many of them are for clients."""

import resource

MOST = 1 << 20  # where the system names no limit
# For Redis, the store, uploads on their way, and connections that are accepted and not counted yet.
RESERVED = 256
MOST_CONNECTIONS = 10_000  # each takes some memory besides its descriptor


def raise_limit() -> int:
    """Let this process open as many as the system allows; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            return soft  # some systems allow less than they say
    return wanted


def connections_within(limit: int) -> int:
    """How many connections of clients may be open at a time under a limit of descriptors."""
    return min(MOST_CONNECTIONS, max(limit - RESERVED, limit // 2))
