"""The login in a real browser, at the root and behind a proxy that serves it under a prefix."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from redis import Redis

from app.api.settings import ApiSettings
from jobs.callers.keys import KeyStore
from jobs.callers.quota import Quota
from jobs.callers.record import TenantRecord
from jobs.callers.scopes import Role
from jobs.callers.secret import draw_key
from jobs.callers.tenants import TenantStore
from tests.app.conftest import MakeKey, serving
from tests.app.dashboard.conftest import described
from tests.app.proxy import proxying
from tests.browser import overflow_px, violations

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=["", "/sd"], ids=["at the root", "under a prefix"])
def url(request: pytest.FixtureRequest, settings: ApiSettings) -> Iterator[str]:
    """Address of an API that asks for keys."""
    prefix = request.param
    with serving(described(settings.model_copy(update={"auth": "keys"})), stop_timeout_s=1) as backend:
        if not prefix:
            yield backend
            return
        with proxying(backend, prefix, X_Forwarded_Prefix=prefix) as proxy:
            yield proxy


@pytest.fixture
def tab(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Open an address in a fresh profile; a script that fails there fails the test."""
    contexts, errors = [], []

    def open_one(address: str, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def log_in(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    # Each test waits for what it expects to see. Chromium does not always tell playwright that the page came.
    page.get_by_role("button", name="Log in").click(no_wait_after=True)


def test_a_stranger_is_asked_for_a_key_and_comes_back_to_where_he_was(
    url: str, tab: Callable[[str], Page], make_key: MakeKey
) -> None:
    page = tab(f"{url}/#/gallery")
    expect(page).to_have_url(f"{url}/login#/gallery")
    log_in(page, make_key())
    expect(page).to_have_url(f"{url}/#/gallery")
    expect(page.get_by_role("link", name="Gallery")).to_have_attribute("aria-current", "page")
    cookies = page.context.cookies()
    assert [(cookie["name"], cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [
        ("lodestar", True, "Strict")
    ]


def test_who_is_logged_in_may_generate_and_log_out(
    url: str, tab: Callable[[str], Page], make_key: MakeKey
) -> None:
    page = tab(f"{url}/login")
    log_in(page, make_key(name="wall"))
    button = page.get_by_role("button", name="Log out")
    expect(button).to_have_attribute("title", "Logged in as wall of default")
    page.locator("#prompt").fill("a red apple")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#jobs li")).to_have_count(1)
    assert violations(page) == []
    page.locator("#jobs li a").first.click()
    expect(page.locator("pre").first).to_contain_text("Authorization: Bearer $LODESTAR_KEY")
    button.click()
    expect(page).to_have_url(f"{url}/login")
    page.goto(f"{url}/")
    expect(page).to_have_url(re.compile(f"{re.escape(url)}/login"))


@pytest.mark.parametrize(("role", "is_offered"), [(Role.CLIENT, False), (Role.OPERATOR, True)])
def test_what_a_key_may_not_see_is_not_offered(
    url: str, tab: Callable[[str], Page], make_key: MakeKey, role: Role, is_offered: bool
) -> None:
    page = tab(f"{url}/login")
    log_in(page, make_key(role=role))
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.locator("#workers-link")).to_be_visible(visible=is_offered)


def test_a_wrong_key_is_told_and_a_right_one_may_follow(
    url: str, tab: Callable[[str], Page], make_key: MakeKey
) -> None:
    page = tab(f"{url}/login")
    log_in(page, str(draw_key()))
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    log_in(page, make_key())
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_a_page_whose_key_is_revoked_asks_for_another(
    url: str, tab: Callable[[str], Page], make_key: MakeKey, redis: Redis
) -> None:
    key = make_key()
    page = tab(f"{url}/login")
    log_in(page, key)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    KeyStore(redis).revoke(key.split("_")[1])
    expect(page).to_have_url(re.compile(f"{re.escape(url)}/login"))


def test_the_page_is_accessible_and_fits_a_phone(url: str, tab: Callable[..., Page]) -> None:
    page = tab(f"{url}/login", width=320)
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert violations(page) == []
    assert overflow_px(page) <= 0


def test_where_no_key_is_asked_for_nothing_is_different(
    settings: ApiSettings, tab: Callable[[str], Page]
) -> None:
    with serving(described(settings), stop_timeout_s=1) as url:
        page = tab(f"{url}/")
        expect(page.get_by_role("link", name="Workers")).to_be_visible()
        expect(page.get_by_role("button", name="Log out")).to_be_hidden()
        expect(page).to_have_url(f"{url}/")
        page.context.close()


@pytest.mark.parametrize("url", [""], indirect=True)
def test_the_head_shows_what_is_left_of_the_nearest_limit(
    url: str, tab: Callable[[str], Page], make_key: MakeKey, redis: Redis
) -> None:
    quota = Quota(units_per_month=5000, max_waiting=2)
    TenantStore(redis).put(TenantRecord(name="default", quota=quota))
    page = tab(url)
    log_in(page, make_key())
    expect(page.locator("#allowance")).to_have_text("2 of 2 places in the queue left")
    page.locator("#prompt").fill("a red apple")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#allowance")).to_have_text("1 of 2 places in the queue left")
    assert violations(page) == []
