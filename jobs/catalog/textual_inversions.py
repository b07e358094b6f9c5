"""The textual inversions of the catalog."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from jobs.catalog.entry import MadeForModels

_SYNTAX = re.compile(r"\b(?:AND|BREAK)\b")


class TextualInversionCard(MadeForModels):
    """A textual inversion: the file of its vectors, and the word that stands for them in prompts."""

    path: Path = Field(
        description="A file that AUTOMATIC1111's web UI or diffusers has written, or diffusers' folder."
    )
    word: str = Field(
        max_length=100,
        pattern=r"^[\w<>*](?:[\w<>*.-]*[\w<>*])?$",
        description="What stands for it in prompts, in any case. Left out: the entry's name.",
    )

    @model_validator(mode="before")
    @classmethod
    def _is_called_by_its_name(cls, fields: Any) -> Any:
        return {"word": fields.get("id"), **fields} if isinstance(fields, dict) else fields

    @field_validator("word")
    @classmethod
    def _is_no_syntax(cls, word: str) -> str:
        if _SYNTAX.search(word):
            raise ValueError(f"{word!r} has AND or BREAK, which the syntax of prompts reads")
        return word
