"""All routes of the API, as tests walk them."""

import re
from collections.abc import Iterator

from app.api.main import NOUNS

FILES = ("/dashboard/app.js", "/reference/start.js", "/reference/swagger-ui.css")
ENDLESS = "/v1/events"  # never to be asked for with GET, unless it is refused
OTHERS = ("/openapi.json", "/nope", "/dashboard/nope.js", "/v1/jobs/")


def every_route() -> Iterator[tuple[str, str]]:
    """Method and path of each, with something in the place of parameters; also of files, and of what there is not."""
    for noun in NOUNS:
        for route in noun.router.routes:
            for method in sorted(route.methods - {"HEAD"}):
                yield method, re.sub(r"\{[^}]*\}", "0", route.path)
    for path in (*FILES, *OTHERS):
        yield "GET", path
