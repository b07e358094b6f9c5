"""Histograms of jobs for Prometheus: how long they waited and ran, and how they ended."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from jobs.errors import QueueUnavailableError
from jobs.status.tallies import Tallies, Tally

BUCKETS_S = ("0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "120", "300", "600", "1800", "3600")
"""The ends of the buckets, as ``lua/prelude.lua`` writes them."""


class JobCollector(Collector):
    """Asks Redis at each scrape; without Redis it exports nothing. Every API process exports the same numbers."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        try:
            tallies = self._tallies.read()
        except QueueUnavailableError:
            return
        ended = CounterMetricFamily(
            "lodestar_jobs_finished",
            "Jobs that have ended, whether or not they ran.",
            labels=("kind", "model", "preset", "outcome"),
        )
        for labels, tally in tallies["ended"].items():
            ended.add_metric((labels.kind, labels.model, labels.preset, labels.outcome), tally.jobs)
        ran = HistogramMetricFamily(
            "lodestar_job_duration_seconds",
            "Time from the start of a job's last attempt to the job's end.",
            labels=("kind", "model", "preset", "outcome"),
        )
        for labels, tally in tallies["ran"].items():
            ran.add_metric((labels.kind, labels.model, labels.preset, labels.outcome), *_histogram(tally))
        waited = HistogramMetricFamily(
            "lodestar_job_wait_seconds",
            "Time from a job's submission to its first start.",
            labels=("kind", "model", "preset"),
        )
        for labels, tally in tallies["waited"].items():
            waited.add_metric((labels.kind, labels.model, labels.preset), *_histogram(tally))
        yield from (ended, ran, waited)


def _histogram(tally: Tally) -> tuple[list[tuple[str, float]], float]:
    """Each bucket with those before it, as Prometheus counts them, and the sum."""
    total, buckets = 0, list[tuple[str, float]]()
    for end in (*BUCKETS_S, "+Inf"):
        total += tally.buckets.get(end, 0)
        buckets.append((end, total))
    return buckets, tally.seconds
