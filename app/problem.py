"""The body of every error answer."""

from pydantic import Field

from jobs.wire import Wire


class FieldError(Wire):
    """What is wrong with one field of the request."""

    field: str = Field(
        description="Dotted path of the field, or name of the parameter or header; empty for the whole body.",
        examples=["guidance.cutouts"],
    )
    message: str = Field(
        description="What is wrong, for a person.", examples=["Input should be less than or equal to 256"]
    )
    limit: int | float | str | None = Field(
        None,
        description="The bound that was passed, or the values that are allowed; left out if none.",
        examples=[256],
    )


class Problem(Wire):
    """An error, as a problem document of RFC 9457."""

    type: str = Field(
        description="Stable identifier of the kind of error: the path of its explanation on this server.",
        examples=["/errors/invalid_request"],
    )
    title: str = Field(
        description="The kind of error in words, always the same.", examples=["Invalid request"]
    )
    status: int = Field(ge=400, le=599, description="HTTP status code.", examples=[422])
    detail: str = Field(
        description="What went wrong this time.",
        examples=["guidance.cutouts: Input should be less than or equal to 256"],
    )
    request_id: str = Field(
        description="The x-request-id of this answer, to quote when asking for help.",
        examples=["2f6f0d3c9b1e4a57"],
    )
    errors: tuple[FieldError, ...] = Field(
        (), description="The fields at fault, each with its limit; left out if the request as a whole is."
    )
