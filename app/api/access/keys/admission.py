"""Admission: who makes a request, and whether it may."""

from functools import partial
from typing import NoReturn

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note_refusal, watcher
from app.api.access.caller import groups_of, identity_of, user_of
from app.api.access.keys.cookie import token_of
from app.api.access.keys.credentials import credentials_of, read_key, refuse_key_in_query
from app.api.access.keys.errors import KeyInQueryError, MissingScopeError, UnauthenticatedError
from app.api.access.keys.needs import Need
from app.api.problems.allowances import note_allowances
from app.api.proxies import address_of
from app.api.services import Services, services_of
from jobs.callers.audit import AuditAction
from jobs.callers.identity import EVERYBODY, NOBODY, Identity, holder_of
from jobs.callers.record import DEFAULT_TENANT, KeyInfo
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import START, parse_key
from jobs.callers.wrong_keys import TooManyWrongKeysError


async def admit(request: Request, need: Need) -> None:
    """Admit a request to a route, and note its sender in ``request.state.identity`` and what that sees in ``services``.

    Raises:
        KeyInQueryError: its address holds a key.
        UnauthenticatedError: the route needs a key, and it brings none that counts.
        TooManyWrongKeysError: nor has its address for a while, which has tried many.
        MissingScopeError: its sender may not do this.
        QueueUnavailableError: Redis, which keeps the keys, is away.
    """
    try:
        refuse_key_in_query(request)
        identity = request.state.identity = await _sender(request, need)
    except KeyInQueryError as error:
        note_refusal(request, AuditAction.KEY_REFUSED, None, error.message)
        raise
    except (UnauthenticatedError, TooManyWrongKeysError) as error:
        if (text := credentials_of(request)) is not None:  # whoever sent no key tried nothing
            note_refusal(request, AuditAction.KEY_REFUSED, text, error.message)
        raise
    services = services_of(request)
    request.state.services = services.seen_by(
        identity, partial(note_allowances, request), watcher(request, services, identity)
    )
    missing = [] if need.is_public else need.missing(identity)
    if missing:
        _refuse_scope(request, missing)


def require_scope(request: Request, scope: Scope) -> None:
    """Raise MissingScopeError unless the sender has a scope that only a part of a route needs."""
    if scope not in identity_of(request).scopes:
        _refuse_scope(request, [scope])


def _refuse_scope(request: Request, missing: list[Scope]) -> NoReturn:
    message = f"this needs a key with the scope {' and '.join(missing)}"
    note_refusal(request, AuditAction.SCOPE_REFUSED, None, message)
    raise MissingScopeError(message)


async def _sender(request: Request, need: Need) -> Identity:
    if services_of(request).auth == "none":
        return EVERYBODY
    return NOBODY if need.is_public else await identify(request)


async def identify(request: Request) -> Identity:
    """The sender of a request, by its key, its session, or its proxy.

    Raises:
        UnauthenticatedError: it is not known.
        TooManyWrongKeysError: as for ``verified``.
        QueueUnavailableError: Redis, which keeps the keys, is away.
    """
    services = services_of(request)
    user = user_of(request) if services.auth == "proxy" else ""
    text = credentials_of(request)
    # A proxy may pass its own credentials on, which are no keys.
    if text is not None and (not user or text.startswith(START)):
        return holder_of(await run_in_threadpool(verified, services, text, address_of(request.scope)), "key")
    if (token := token_of(request)) is not None:
        known = await run_in_threadpool(_in_session, services, token)
        if known is not None:
            return known
    if user:
        return _member(services, user, groups_of(request))
    raise UnauthenticatedError("this needs a key: send Authorization: Bearer lsk_..., or log in at /login")


def verified(services: Services, text: str, address: str | None) -> KeyInfo:
    """The key that a text is.

    Args:
        services: of the app.
        text: that a client sent as its key.
        address: of the client; None if it is not known.

    Raises:
        UnauthenticatedError: it is none that counts.
        TooManyWrongKeysError: it is none that has counted here before, and the address has tried many.
        QueueUnavailableError: Redis, which keeps the keys, is away.
    """
    wait_s = services.wrong_keys.wait_s(address, text)
    key = parse_key(text)
    if wait_s and (key is None or not services.keys.has_counted(key.id)):
        raise TooManyWrongKeysError(
            "many wrong keys came from this address: wait, then send the right one", retry_after_s=wait_s
        )
    info = None if key is None else services.keys.verify(key)
    if info is not None:
        return info
    services.wrong_keys.note(address, text)
    read_key(text)  # says what is wrong with its form
    raise UnauthenticatedError("this key is unknown, was revoked, has expired, or does not count yet")


def _in_session(services: Services, token: str) -> Identity | None:
    key_id = services.sessions.key_of(token)
    info = None if key_id is None else services.keys.get(key_id)
    return None if info is None else holder_of(info, "session")


def _member(services: Services, user: str, groups: list[str]) -> Identity:
    """A user of the proxy's: its first group in the keys file decides; without one it is a client."""
    group = services.keys.group(groups)
    if group is None:
        return Identity(DEFAULT_TENANT, user, SCOPES_OF[Role.CLIENT], "proxy")
    return Identity(group.tenant, user, SCOPES_OF[group.role], "proxy", quota=group.quota)
