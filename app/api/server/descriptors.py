"""The limit of file descriptors, and the share for clients."""

import resource

MOST = 1 << 20  # where the system names no limit
# For Redis, the store, uploads on their way, and connections that are accepted and not counted yet.
RESERVED = 256
MOST_CONNECTIONS = 10_000  # each takes some memory besides its descriptor


def raise_limit() -> int:
    """Raise this process's limit to the system's; the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            return soft  # some systems allow less than they say
    return wanted


def connections_within(limit: int) -> int:
    """Limit of open connections of clients under a limit of descriptors."""
    return min(MOST_CONNECTIONS, max(limit - RESERVED, limit // 2))
