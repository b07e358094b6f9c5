"""Who asks, as far as fair shares are concerned."""

from typing import Annotated

from fastapi import Depends, Header


def _caller(
    x_forwarded_user: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=128,
            pattern=r"^[!-~]+$",
            description="Who asks, as a proxy that authenticates says it. Callers get equal shares of the work; all "
            "who send none count as one caller.",
            examples=["alice"],
        ),
    ] = None,
) -> str:
    return x_forwarded_user or ""


TheCaller = Annotated[str, Depends(_caller)]
