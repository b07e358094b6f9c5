"""What a key may do: scopes, and the roles that bundle them."""

from enum import StrEnum


class Scope(StrEnum):
    """One permission of a key."""

    JOBS_WRITE = "jobs:write"
    JOBS_READ = "jobs:read"
    IMAGES_READ = "images:read"
    SEARCH = "search"
    EMBEDDINGS = "embeddings"
    METRICS = "metrics"
    ADMIN_WORKERS = "admin:workers"
    ADMIN_JOBS = "admin:jobs"
    ADMIN_KEYS = "admin:keys"


class Role(StrEnum):
    """A bundle of scopes."""

    CLIENT = "client"
    VIEWER = "viewer"
    OPERATOR = "operator"


SCOPES_OF = {
    Role.CLIENT: frozenset(
        {Scope.JOBS_WRITE, Scope.JOBS_READ, Scope.IMAGES_READ, Scope.SEARCH, Scope.EMBEDDINGS}
    ),
    Role.VIEWER: frozenset({Scope.JOBS_READ, Scope.IMAGES_READ}),
    Role.OPERATOR: frozenset(Scope),
}
