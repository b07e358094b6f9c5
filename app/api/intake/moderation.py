"""Moderation of prompts by a service that speaks OpenAI's ``/v1/moderations``."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import structlog
from pydantic import BaseModel

from app.api.trust_settings import TrustSettings
from jobs.errors import ContentBlockedError, ModerationUnavailableError
from jobs.requests.objectives import TextObjective
from jobs.requests.request import GenerateRequest

MOST_NAMED = 10  # categories in a message

log = structlog.get_logger(__name__)


class _Result(BaseModel):
    flagged: bool
    categories: dict[str, bool | None] = {}


class _Answer(BaseModel):
    results: list[_Result]


@dataclass(frozen=True)
class Verdict:
    """What was found on a request.

    Attributes:
        categories: that the prompt was flagged for, in the service's words; empty if it was not.
        is_flagged: whether it was.
        is_missing: whether the service gave no verdict.
    """

    categories: tuple[str, ...] = ()
    is_flagged: bool = False
    is_missing: bool = False

    @property
    def note(self) -> str | None:
        """A sentence for the job; None if there is nothing to tell."""
        if self.is_missing:
            return "The prompt was not moderated, because the moderation service gave no verdict."
        return f"The prompt was flagged by moderation{self.named}." if self.is_flagged else None

    @property
    def named(self) -> str:
        """The categories, as the end of a sentence."""
        return f": {', '.join(self.categories[:MOST_NAMED])}" if self.categories else ""


class Moderator:
    """Asks the service about prompts, with a connection that is kept."""

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        model: str | None = None,
        timeout_s: float,
        policy: Literal["flag", "block"],
        when_away: Literal["allow", "refuse"],
    ) -> None:
        """Open no connection yet.

        Args:
            url: whole address of the endpoint.
            key: sent as a bearer; empty for none.
            model: of the service; its default if left out.
            timeout_s: seconds for its answer.
            policy: whether a flagged prompt is refused, or taken with a note.
            when_away: whether a prompt without a verdict is taken.
        """
        self._url, self._model, self._timeout_s = url, model, timeout_s
        self._policy, self._when_away = policy, when_away
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout_s, follow_redirects=False)

    async def judge(self, wanted: GenerateRequest) -> Verdict:
        """The verdict on what a request asks for; what it asks to avoid is not judged.

        Raises:
            ContentBlockedError: it is flagged, and such requests are refused.
            ModerationUnavailableError: there is no verdict, and such requests are refused.
        """
        texts = [text for text in texts_of(wanted) if text.strip()]
        if not texts:
            return Verdict()
        try:
            results = (await self._asked(texts)).results
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            return self._without_verdict(error)
        flagged = [result for result in results if result.flagged]
        named = sorted({name for result in flagged for name, holds in result.categories.items() if holds})
        verdict = Verdict(tuple(_plain(name) for name in named), is_flagged=bool(flagged))
        if verdict.is_flagged and self._policy == "block":
            raise ContentBlockedError(f"the prompt was refused by moderation{verdict.named}", field="prompt")
        return verdict

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def _asked(self, texts: list[str]) -> _Answer:
        body: dict[str, Any] = {"input": texts}
        if self._model:
            body["model"] = self._model
        async with asyncio.timeout(self._timeout_s):  # httpx's own is for each part of the answer
            answer = await self._http.post(self._url, json=body)
        answer.raise_for_status()
        read = _Answer.model_validate_json(answer.content)
        if len(read.results) < 1:
            raise ValueError("the answer has no result")
        return read

    def _without_verdict(self, error: Exception) -> Verdict:
        reason = f"{type(error).__name__}: {error}"[:300]
        log.warning("no verdict on a prompt", reason=reason, outcome=self._when_away)
        if self._when_away == "refuse":
            raise ModerationUnavailableError(
                "the moderation service gives no verdict on the prompt; try again later"
            ) from error
        return Verdict(is_missing=True)


def moderator_of(settings: TrustSettings) -> Moderator | None:
    """The moderator that an operator has configured; None if it is none."""
    if settings.moderation_url is None:
        return None
    key = settings.moderation_key
    return Moderator(
        str(settings.moderation_url),
        key=key.get_secret_value() if key else "",
        model=settings.moderation_model,
        timeout_s=settings.moderation_timeout_s,
        policy=settings.moderation_policy,
        when_away=settings.moderation_when_away,
    )


def texts_of(wanted: GenerateRequest) -> Iterator[str]:
    """The texts that a picture is drawn towards."""
    yield wanted.prompt
    objectives = wanted.guidance.objectives if wanted.guidance else None
    for objective in objectives or ():
        if isinstance(objective, TextObjective) and objective.weight > 0:
            yield objective.text


def _plain(name: str) -> str:
    """A category as a word in a note of one line."""
    return " ".join(name.split())[:60]
