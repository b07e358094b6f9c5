"""A machine that is taken away: SIGTERM to the worker, and SIGKILL two seconds later."""

from pathlib import Path

import psutil
import pytest

from jobs.status.job import JobStatus
from tests.integration.stack import LONG, PATIENCE_S, Stack
from tests.waiting import until

NOTICE_S = 2.0


@pytest.mark.usefixtures("pocket_model")
def test_a_job_whose_worker_is_taken_away_goes_on_elsewhere_to_the_same_picture(tmp_path: Path) -> None:
    with Stack(tmp_path, {"LODESTAR_GRACE_S": "0"}) as stack:
        whole = stack.client.jobs.image(stack.finish(stack.client.submit(LONG).id).id, 0)
        job_id = stack.start_job(LONG)
        worker = stack.part("worker")
        worker.terminate()
        for late in psutil.wait_procs([worker], timeout=NOTICE_S)[1]:
            late.kill()
        until(lambda: stack.client.jobs.get(job_id).starts == 2, within_s=PATIENCE_S)
        assert stack.client.jobs.get(job_id).progress.step > 0
        job = stack.finish(job_id)
        assert (job.status, job.attempts, job.starts) == (JobStatus.SUCCEEDED, 1, 2)
        assert stack.client.jobs.image(job_id, 0) == whole
