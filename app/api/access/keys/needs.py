"""What each route needs, declared at its function: ``@needs(Scope.JOBS_READ)``, ``@needs_key`` or ``@public``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from jobs.callers.identity import Identity
from jobs.callers.scopes import Scope

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_MARK = "__lodestar_need__"


@dataclass(frozen=True)
class Need:
    """What a route needs: nothing, any key, or one with all of these scopes."""

    scopes: frozenset[Scope] = frozenset()
    is_public: bool = False

    def missing(self, identity: Identity) -> list[Scope]:
        """The scopes that the sender of a request lacks."""
        return sorted(self.scopes - identity.scopes)


_UNDECLARED = Need(frozenset(Scope))  # so that a forgotten declaration opens nothing


def needs(*scopes: Scope) -> Callable[[_Endpoint], _Endpoint]:
    """Decorate the function of a route: its callers need a key with these scopes."""
    return _marked(Need(frozenset(scopes)))


def needs_key(endpoint: _Endpoint) -> _Endpoint:
    """Decorate the function of a route: its callers need a key of any scope."""
    return _marked(Need())(endpoint)


def public(endpoint: _Endpoint) -> _Endpoint:
    """Decorate the function of a route: everyone may call it."""
    return _marked(Need(is_public=True))(endpoint)


def need_of(endpoint: Callable[..., Any]) -> Need:
    """What a route needs; every scope there is if its function declares nothing."""
    need: Need = getattr(endpoint, _MARK, _UNDECLARED)
    return need


def is_declared(endpoint: Callable[..., Any]) -> bool:
    """Whether a route's function says what it needs."""
    return hasattr(endpoint, _MARK)


def _marked(need: Need) -> Callable[[_Endpoint], _Endpoint]:
    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _MARK, need)
        return endpoint

    return mark
