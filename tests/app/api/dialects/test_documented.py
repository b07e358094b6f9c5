"""Every route of a dialect is on its page."""

import re
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from app.api.dialects.a1111 import listings, options, upkeep
from app.api.dialects.a1111 import routes as a1111
from app.api.dialects.a1111.extras import routes as extras
from app.api.dialects.customary import CustomaryFields, WithoutEffect
from app.api.dialects.openai import routes as openai
from app.api.dialects.replicate import listings as replicate_listings
from app.api.dialects.replicate import routes as replicate

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize(
    ("router", "page"),
    [
        (openai.router, "openai.md"),
        (replicate.router, "replicate.md"),
        (replicate_listings.router, "replicate.md"),
        (replicate_listings.own_router, "replicate.md"),
        (a1111.router, "a1111.md"),
        (listings.router, "a1111.md"),
        (extras.router, "a1111.md"),
        (upkeep.router, "a1111.md"),
    ],
)
def test_every_route_of_a_dialect_is_on_its_page(router: APIRouter, page: str) -> None:
    text = (DOCS / page).read_text()
    for route in router.routes:
        assert isinstance(route, APIRoute)
        path = re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", route.path)
        for method in route.methods or ():
            assert f"{method} {path}" in text, f"{method} {path}"


@pytest.mark.parametrize("page", ["openai.md", "replicate.md"])
def test_every_customary_name_is_known_to_the_pages(page: str) -> None:
    text = (DOCS / page).read_text()
    for name in CustomaryFields.model_fields:
        assert f"`{name}`" in text, name


def test_every_switch_without_effect_is_on_a_page() -> None:
    for name in WithoutEffect.model_fields:
        assert f"`{name}`" in (DOCS / "replicate.md").read_text(), name


def test_every_option_is_on_a_page() -> None:
    for name in (*options.KEPT, *options.FIXED):
        assert f"`{name}`" in (DOCS / "a1111.md").read_text(), name
