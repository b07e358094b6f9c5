"""Receive the messages of jobs that have ended, and fetch their pictures: ``python examples/webhook_receiver.py``.

Needs ``pip install standardwebhooks ./lodestar``, and the secret in ``WEBHOOK_SECRET``: ``lodestar webhook-secret``
prints it on the service's machine. Submit jobs with ``"webhook": "http://RECEIVER:9000/"``. A private address, such as
one of this machine, has to be in the service's ``LODESTAR_WEBHOOK_NETWORKS``, for example ``127.0.0.0/8``.

The signature covers the raw body, the id and the time of a message. A message without a good one is answered 401 and
changes nothing. A message may come twice, so its id decides whether there is anything to do.
"""

import argparse
import os
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

from lodestar import Client

MOST_BYTES = 1 << 20


class Receiver(HTTPServer):
    """The server, and what it knows between two messages."""

    def __init__(self, port: int, secret: str) -> None:
        """Listen on this machine alone: in production a proxy with TLS stands in front."""
        super().__init__(("127.0.0.1", port), Handler)
        self.webhook = Webhook(secret)
        self.client = Client()
        self.seen: set[str] = set()  # in production a table, so that it survives a restart

    def take(self, job: dict[str, object]) -> None:
        """Do what the end of a job asks for: here, write its pictures."""
        print(f"{job['id']} {job['status']}", flush=True)
        if job["status"] == "succeeded":
            for picture in self.client.jobs.pictures(str(job["id"])):
                print(picture.save(f"{job['id']}-{picture.index}.png"), flush=True)


class Handler(BaseHTTPRequestHandler):
    """One message."""

    server: Receiver
    timeout = 10  # seconds for which a sender may say nothing

    def do_POST(self) -> None:
        """Check the signature before anything else looks at the body."""
        length = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= length <= MOST_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        try:
            message = self.server.webhook.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            return self.answer(401)
        if (message_id := self.headers["webhook-id"]) not in self.server.seen:
            if message["type"] == "job.done":
                self.server.take(message["data"])
            self.server.seen.add(message_id)  # now that it is done: after an error the message comes again
        return self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    """Receive until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    if not (secret := os.environ.get("WEBHOOK_SECRET")):
        sys.exit("webhook_receiver: set WEBHOOK_SECRET to what `lodestar webhook-secret` prints")
    with Receiver(options.port, secret) as receiver:
        print(f"Listening at http://127.0.0.1:{receiver.server_port}/", flush=True)
        with suppress(KeyboardInterrupt):
            receiver.serve_forever()


if __name__ == "__main__":
    main()
