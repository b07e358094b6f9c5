"""One message on its way to one receiver."""

import asyncio
import base64
import datetime
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import WebhookVerificationError

from app.api.addresses import AddressPolicy
from app.api.webhooks import sender as sending
from app.api.webhooks.sender import DeliveryError, Sender
from tests.app.api.webhooks.receiver import receiving

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
LOOPBACK = AddressPolicy([ip_network("127.0.0.0/8"), ip_network("::1/128")])


def send(url: str, *secrets: str, policy: AddressPolicy = LOOPBACK, body: str = '{"a":"ü"}') -> None:
    async def sent() -> None:
        sender = Sender(secrets or (NEW,), policy)
        try:
            await sender.send(url, "msg_1", body)
        finally:
            await sender.close()

    asyncio.run(sent())


def test_a_message_is_signed_so_that_the_reference_library_verifies_it() -> None:
    with receiving() as receiver:
        send(receiver.url, NEW, OLD)
    (message,) = receiver.received
    assert message.headers["webhook-id"] == "msg_1"
    assert message.headers["content-type"] == "application/json"
    assert message.verified(NEW) == message.verified(OLD) == {"a": "ü"}
    message.body += b" "
    with pytest.raises(WebhookVerificationError):
        message.verified(NEW)


@pytest.mark.parametrize(
    ("status", "final"), [(302, False), (307, False), (404, False), (410, True), (503, False)]
)
def test_what_is_no_success_is_an_error_and_no_redirect_is_followed(status: int, final: bool) -> None:
    with receiving(status) as receiver, pytest.raises(DeliveryError, match=str(status)) as caught:
        send(receiver.url)
    assert caught.value.is_final is final
    assert [message.path for message in receiver.received] == ["/hook"]


def test_nobody_inside_is_reached() -> None:
    with receiving() as receiver:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(DeliveryError, match="an address that webhooks may not reach") as caught:
                send(f"http://{host}:{receiver.port}/", policy=AddressPolicy())
            assert caught.value.is_final
            assert not re.search(r"127|::1|localhost", caught.value.reason)
            assert (
                "127.0.0.1" in caught.value.detail or "::1" in caught.value.detail
            )  # for the operator's log
    assert receiver.received == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make a name server say one thing after the other; the names that it was asked for."""

    def lead(*answers: list[str]) -> list[str]:
        asked: list[str] = []

        def answer(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            asked.append(host)
            addresses = answers[min(len(asked), len(answers)) - 1]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return lead


def test_a_name_is_resolved_once_so_that_it_cannot_change_after_the_check(
    names: Callable[..., list[str]],
) -> None:
    with receiving() as receiver, receiving(host="127.0.0.2") as other:
        asked = names(["127.0.0.1"], ["127.0.0.2"])
        send(f"http://hooks.example:{receiver.port}/hook?x=1")
    assert asked == ["hooks.example"]
    assert other.received == []
    (message,) = receiver.received
    assert message.headers["host"] == f"hooks.example:{receiver.port}"
    assert message.path == "/hook?x=1"


def test_a_name_with_one_bad_address_among_good_ones_is_refused(names: Callable[..., list[str]]) -> None:
    names(["8.8.8.8", "169.254.169.254"])
    with pytest.raises(DeliveryError, match="an address that webhooks may not reach"):
        send("http://hooks.example/", policy=AddressPolicy())


def test_the_next_address_is_tried_when_nobody_answers_at_the_first(names: Callable[..., list[str]]) -> None:
    with receiving() as receiver:
        names(["127.0.0.9", "127.0.0.1"])
        send(f"http://hooks.example:{receiver.port}/hook")
        assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no-such-name.invalid", "the name leads nowhere"),
        ("a" * 64 + ".example", "the name leads nowhere"),
        ("127.0.0.1:1", "no connection"),
    ],
)
def test_who_cannot_be_found_or_does_not_listen_may_come_later(host: str, reason: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        send(f"http://{host}/")
    assert (caught.value.reason, caught.value.is_final, caught.value.is_silent) == (reason, False, True)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer was not HTTP"),
        (b"", "the answer was not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 200_000, "the answer was not HTTP"),
    ],
)
def test_what_speaks_something_else_is_told_in_words_without_its_address(said: bytes, reason: str) -> None:
    def speak(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            # Closed with bytes unread, a connection breaks instead of ending.
            with suppress(ConnectionError):
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=speak, args=(server,))
        thread.start()
        with pytest.raises(DeliveryError) as caught:
            send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert caught.value.reason == reason


def test_a_name_server_that_does_not_answer_holds_up_no_other_message_and_no_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, real = threading.Event(), socket.getaddrinfo

    def answer(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "stuck.example":
            released.wait(60)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)

    async def send_all(url: str) -> None:
        sender = Sender((NEW,), LOOPBACK)
        stuck = [asyncio.ensure_future(sender.send("http://stuck.example/", "m", "{}")) for _ in range(64)]
        await asyncio.sleep(0)
        await sender.send(url, "m", "{}")
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        await sender.close()

    with receiving() as receiver:
        begin = time.monotonic()
        asyncio.run(send_all(receiver.url))  # which also waits for the event loop's own threads
        assert time.monotonic() - begin < 30
    assert len(receiver.received) == 1
    released.set()


def test_a_receiver_that_drips_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 1.0)
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            while not stop.wait(0.1):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        begin = time.monotonic()
        with pytest.raises(DeliveryError, match="no answer within 1 s"):
            send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert time.monotonic() - begin < 15
        stop.set()
        thread.join()


def test_an_endless_answer_is_not_read() -> None:
    sent = 0

    def pour(server: socket.socket) -> None:
        nonlocal sent
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while sent < 50_000_000:
                    sent += connection.send(b"x" * 65536)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=pour, args=(server,))
        thread.start()
        send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert sent < 50_000_000


def _certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A TLS server's context for a name, with its certificate in ``folder``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, no_password))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_over_tls_the_certificate_must_be_the_names_although_an_address_is_called(
    names: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _certificate(tmp_path, "hooks.example")
    asked_for: list[str | None] = []
    context.sni_callback = lambda connection, name, _: asked_for.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    names(["127.0.0.1"])
    with receiving(tls=context) as receiver:
        send(f"https://hooks.example:{receiver.port}/hook")
        assert len(receiver.received) == 1
        with pytest.raises(
            DeliveryError, match=r"^no connection: TLS failed with CERTIFICATE_VERIFY_FAILED$"
        ):
            send(f"https://other.example:{receiver.port}/hook")
    assert asked_for == ["hooks.example", "other.example"]
    assert len(receiver.received) == 1
