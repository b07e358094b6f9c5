"""The documented statuses of each call."""

from collections.abc import Mapping
from typing import Any

# What may meet any request before it reaches its operation: a body that cannot be parsed, a path that leads nowhere,
# another method, a name of the server that it does not go by, a body that is too long, or of another kind.
ANYWHERE = frozenset({400, 403, 404, 405, 413, 415, 421, 422, 431})

_DIALECT = ANYWHERE | {200, 204, 409, 429}
DIALECTS: Mapping[str, frozenset[int]] = {
    "POST /sdapi/v1/txt2img": _DIALECT | {501},
    "POST /v1/files": _DIALECT | {201},
    "POST /v1/predictions": _DIALECT | {201, 202},
    "POST /v1/models/{owner}/{name}/predictions": _DIALECT | {201, 202},
    "POST /v1/deployments/{owner}/{name}/predictions": _DIALECT | {201, 202},
}
# Calls that refuse in words what is not served.
REFUSED = frozenset(
    {
        *(f"POST /sdapi/v1/{name}" for name in ("img2img", "extra-single-image", "extra-batch-images")),
        *(f"POST /sdapi/v1/{name}" for name in ("skip", "txt2img")),
    }
)
# The job ran longer than the caller's own ``timeout_s``, which may be next to nothing.
OWN_DEADLINE = "deadline_exceeded"


class Documented:
    """The statuses of every operation, by its method and path."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._by_operation = {
            f"{method.upper()} {path}": frozenset(map(int, operation["responses"]))
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """Those of the description."""
        return tuple(self._by_operation)

    def fault_of(self, operation: str, status: int | None, body: str = "") -> tuple[str, str] | None:
        """The check that an answer fails, and why; None if all is well."""
        if status is None:
            return "no answer", "the connection ended or the time ran out"
        if status == 501 and operation in REFUSED:
            return None
        if status == 500 and OWN_DEADLINE in body:
            return None
        if status >= 500:
            return "not_a_server_error", f"it was answered with {status}"
        allowed = self._by_operation.get(operation, DIALECTS.get(operation, _DIALECT))
        if status not in allowed:
            return "status_code_conformance", f"{status} is not documented"
        return None
