"""What /metrics tells, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mas_fast.serve.jobs import Jobs

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The figures of one server.

    Args:
        jobs: of the server.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "mas_fast_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.pictures = Counter("mas_fast_pictures", "Pictures drawn.", registry=registry)
        self.first = Histogram(
            "mas_fast_first_preview_seconds",
            "From a request to its first preview.",
            buckets=SECONDS,
            registry=registry,
        )
        self.whole = Histogram(
            "mas_fast_picture_seconds",
            "From a request to its first picture.",
            buckets=SECONDS,
            registry=registry,
        )
        engine = jobs.engine
        for name, text, value in (
            ("queue", "Requests that wait for a worker.", lambda: jobs.waiting),
            ("open_requests", "Requests that are drawn, or wait.", lambda: jobs.open),
            ("batch_rows", "Pictures that share the pass under way.", lambda: engine.rows_drawing),
            ("passes", "Passes over the weights so far.", lambda: engine.passes),
            ("tokens", "Tokens drawn so far.", lambda: engine.drawn),
        ):
            Gauge(f"mas_fast_{name}", text, registry=registry).set_function(value)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        return generate_latest(self._registry)
