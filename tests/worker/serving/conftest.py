"""Workers whose threads look about more often: at their own pace most tests would wait for them."""

import pytest

from worker.serving import consumer, executions, heartbeat


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew leases, report progress and hear of the end twenty times a second."""
    for module, pauses in (
        (heartbeat, ("EVERY_S",)),
        (executions, ("LISTEN_S", "RECONNECT_S")),
        (consumer, ("LOOK_EVERY_S", "RECONNECT_S")),
    ):
        for pause in pauses:
            monkeypatch.setattr(module, pause, 0.05)
