"""Addresses of several servers."""

import pytest

from jobs.db.connection import connect, connect_async
from jobs.db.servers import is_cluster, read_servers
from jobs.errors import ConfigurationError


def test_sentinels_are_named_with_their_service_and_database() -> None:
    servers = read_servers(
        "redis+sentinel://ann:se%40cret@one:1,[::1]:2,three/main/3?sentinel_password=other"
    )
    assert servers is not None
    assert (servers.kind, servers.name) == ("sentinel", "main")
    assert servers.hosts == (("one", 1), ("::1", 2), ("three", 26379))
    assert servers.options == {"username": "ann", "password": "se@cret", "db": 3}
    assert servers.asking == {"password": "other"}


def test_tls_and_its_options_are_for_the_servers_and_for_those_who_know_them() -> None:
    servers = read_servers("rediss+sentinel://one/main?ssl_ca_certs=/ca.pem")
    assert servers is not None
    assert servers.options["ssl_ca_certs"] == servers.asking["ssl_ca_certs"] == "/ca.pem"
    assert servers.asking["ssl"] is True


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    servers = read_servers("redis+cluster://:secret@one:1,two")
    assert servers is not None
    assert (servers.kind, servers.hosts) == ("cluster", (("one", 1), ("two", 6379)))
    assert servers.options["password"] == servers.asking["password"] == "secret"
    assert is_cluster("rediss+cluster://one")
    assert not is_cluster("redis+sentinel://one/main")


@pytest.mark.parametrize("url", ["redis://one", "rediss://one:1/2", "unix:///tmp/valkey.sock"])
def test_one_server_is_not_several(url: str) -> None:
    assert read_servers(url) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "an address of Redis is redis://"),
        ("http://one", "an address of Redis is redis://"),
        ("redis+sentinel://one", "names the primary"),
        ("redis+sentinel://one/main/first", "is a number"),
        ("redis+sentinel:///main", "host:port"),
        ("redis+sentinel://one,,two/main", "host:port"),
        ("redis+sentinel://one:99999/main", "'one:99999' is no host and port"),
        ("redis+sentinel://one/main?socket_timeout=soon", "socket_timeout"),
        ("redis+cluster://one/2", "no other database"),
        ("redis://one:port", "Port"),
    ],
)
def test_a_wrong_address_is_refused_in_words_without_the_password(url: str, reason: str) -> None:
    secret = url.replace("://", "://ann:hidden@", 1) if "://one" in url else url
    for make in (lambda: connect(secret, patient=False), lambda: connect_async(secret, max_connections=1)):
        with pytest.raises(ConfigurationError, match="address of Redis") as caught:
            make()
        assert reason in caught.value.message
        assert "hidden" not in caught.value.message
        assert caught.value.field == "redis_url"


def test_options_of_an_address_win_over_ours() -> None:
    pool = connect("redis+sentinel://one/main?socket_timeout=7", patient=False).connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 7
