"""What Prometheus reads at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ROUTES = frozenset({"/", "/embed", "/compare", "/enroll", "/search", "/people", "/health"})


class Metrics:
    """The figures of one service.  They hold no name and nothing of a photo."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "face_requests", "Requests by route and status", ["route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "face_request_seconds", "Seconds from first byte to answer", ["route"],
            registry=self._registry,
        )  # fmt: skip
        self.batch_size = Histogram(
            "face_batch_size", "Photos recognised in one pass", registry=self._registry,
            buckets=(1, 2, 4, 8, 16, 32),
        )  # fmt: skip
        self.waiting = Gauge("face_waiting", "Requests in progress", registry=self._registry)
        self.people = Gauge("face_people", "People enrolled", registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one request.  Unknown paths share a label: strangers must not fill the memory."""
        route = "/people" if path.startswith("/people/") else path
        route = route if route in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
