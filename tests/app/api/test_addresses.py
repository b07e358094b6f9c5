"""The addresses that webhooks may reach."""

import asyncio
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import HttpUrl

from app.api.addresses import AddressPolicy, RefusedAddressError
from jobs.errors import InvalidRequestError

PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # metadata of most clouds
    "168.63.129.16",  # Azure's
    "192.0.0.192",  # Oracle's
    "100.100.100.200",  # Alibaba's
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # AWS's
    "ff02::1",
    "100::1",
]
policy = AddressPolicy()


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_reached(address: str) -> None:
    assert policy.permits(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_else_may(address: str) -> None:
    assert not policy.permits(address)


@given(st.ip_addresses(v=4))
def test_no_disguise_changes_what_an_address_may_be_used_for(address: object) -> None:
    plain = policy.permits(str(address))
    assert policy.permits(f"::ffff:{address}") == plain
    assert policy.permits(f"64:ff9b::{address}") == plain


def test_what_the_operator_allows_may_be_reached_and_only_that() -> None:
    allowing = AddressPolicy([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    assert all(allowing.permits(address) for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "8.8.8.8"))
    assert not any(allowing.permits(address) for address in ("10.2.0.1", "127.0.0.1", "169.254.169.254"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://[::1]:6379/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://localhost:8000/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_a_literal_address_is_refused_in_whatever_way_it_is_written(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        policy.check(HttpUrl(url))
    assert caught.value.field == "webhook.url"


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "http://8.8.8.8:8080/", "https://localhost.example.com/"]
)
def test_a_name_passes_until_it_is_resolved(url: str) -> None:
    policy.check(HttpUrl(url))


def test_a_name_that_leads_inside_is_refused_when_it_is_resolved() -> None:
    with pytest.raises(RefusedAddressError, match="localhost leads to"):
        asyncio.run(policy.resolve("localhost", 80))
    loopback = AddressPolicy([ip_network("127.0.0.0/8"), ip_network("::1/128")])
    assert "127.0.0.1" in asyncio.run(loopback.resolve("localhost", 80))
