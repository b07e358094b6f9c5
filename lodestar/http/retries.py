"""When a call is tried again, by the server's own hints."""

import random

import httpx

from lodestar.http.hints import hinted_s

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
LONGEST_HINT_S = 120.0
# The server has done nothing: it takes no more, or the body did not arrive.
UNDONE = frozenset({408, 429})
PASSING = UNDONE | {502, 503, 504}


class Retries:
    """The rule.

    A call that the server does once however often it comes is tried again after every passing error. Another one only
    if the server has certainly not done it. ``x-should-retry`` overrides both. The wait is ``Retry-After``, else it
    doubles from half a second; it is spread, so that many clients do not come back at once.

    A server that has never answered is not waited for: its address is wrong more often than it is away.
    """

    def __init__(self, most: int) -> None:
        """Make the rule of a client: at most ``most`` more tries for each call."""
        self._most = most
        self._was_reached = False

    def succeeded(self) -> None:
        """Note that the server has answered a call."""
        self._was_reached = True

    def wait_s(self, outcome: httpx.Response | Exception, tried: int, *, is_repeatable: bool) -> float | None:
        """Seconds until the next try; None if there is none.

        Args:
            outcome: of the last try: the answer, or the transport's error.
            tried: tries before that one.
            is_repeatable: whether a repetition does no harm.
        """
        if isinstance(outcome, httpx.Response):
            self._was_reached = True
        if tried >= self._most or not self._may_repeat(outcome, is_repeatable):
            return None
        hint_s = hinted_s(outcome.headers) if isinstance(outcome, httpx.Response) else None
        if hint_s is not None:
            return hint_s if hint_s <= LONGEST_HINT_S else None
        longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**tried)
        return longest * random.uniform(0.75, 1.0)

    def _may_repeat(self, outcome: httpx.Response | Exception, is_repeatable: bool) -> bool:
        if not isinstance(outcome, httpx.Response):
            return self._was_reached and (is_repeatable or isinstance(outcome, httpx.ConnectError))
        said = outcome.headers.get("x-should-retry")
        if said in {"true", "false"}:
            return bool(said == "true")
        return outcome.status_code in (PASSING if is_repeatable else UNDONE)
