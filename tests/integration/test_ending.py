"""However the service ends, nothing of it is left, and what it had accepted is still there afterwards."""

import signal
import time
from pathlib import Path

from jobs.requests.request import MAX_IMAGES
from jobs.status.job import JobStatus
from tests.integration.conftest import StartStack
from tests.integration.stack import LONG, PATIENCE_S, is_alive
from tests.waiting import until

VERY_LONG = LONG.model_copy(update={"num_images": MAX_IMAGES})


def test_neither_a_stop_nor_kill_9_leaves_a_process_and_the_next_start_goes_on(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = start_stack(tmp_path)
    job_id = stack.start_job(VERY_LONG)
    family = stack.family()
    assert len(family) == 3
    start = time.monotonic()
    stack.process.send_signal(signal.SIGTERM)
    assert stack.process.wait(timeout=60) == 0
    assert time.monotonic() - start < 10
    assert [process for process in family if is_alive(process)] == []

    again = start_stack(tmp_path)
    until(lambda: again.client.jobs.get(job_id).status is JobStatus.RUNNING, within_s=PATIENCE_S)
    assert again.client.jobs.get(job_id).attempts == 1  # that it was given back is not held against it

    family = again.family()
    assert len(family) == 3
    again.process.kill()
    until(lambda: not any(is_alive(process) for process in family), within_s=20)
