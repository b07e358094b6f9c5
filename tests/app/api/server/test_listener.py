"""The sockets of the API, and their addresses."""

import socket

import pytest

from app.api.server.listener import listening, url_of
from app.stack.preflight import check_port, free_port
from jobs.errors import ConfigurationError

needs_both = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@needs_both
@pytest.mark.parametrize("host", ["::", "::0", "0:0:0:0:0:0:0:0"])
def test_every_ipv6_address_is_every_ipv4_address_too(host: str) -> None:
    with listening(host, 0) as (listener,):
        port = listener.getsockname()[1]
        assert answers("::1", port)
        assert answers("127.0.0.1", port)


@needs_both
def test_a_port_that_is_taken_for_one_family_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="address already in use"):
            check_port("::", port)
        with pytest.raises(OSError, match="in use"), listening("::", port):
            pytest.fail("it listens")
    check_port("::", port)


@needs_both
def test_one_ipv6_address_is_that_alone() -> None:
    with listening("::1", 0) as (listener,):
        assert not answers("127.0.0.1", listener.getsockname()[1])


def test_a_name_is_listened_on_wherever_it_leads() -> None:
    port = free_port("localhost")
    with listening("localhost", port) as sockets:
        leads_to = {found[4][0] for found in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        assert {each.getsockname()[0] for each in sockets} == leads_to
        for address in leads_to:
            assert answers(str(address), port)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("images.lan", "http://images.lan:8000"),
    ],
)
def test_people_on_this_machine_are_told_an_address_that_leads_there(host: str, url: str) -> None:
    assert url_of(host, 8000) == url


@needs_both
def test_that_of_both_families_is_the_one_that_everybody_reaches() -> None:
    assert url_of("::", 8000) == "http://127.0.0.1:8000"


def test_the_second_part_of_an_answer_does_not_wait_until_the_first_is_acknowledged() -> None:
    with listening("localhost", 0) as sockets:
        for listener in sockets:
            with socket.create_connection(listener.getsockname()[:2]):
                accepted, _ = listener.accept()
                with accepted:
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
