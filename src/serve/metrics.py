"""What Prometheus reads at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ROUTES = frozenset(
    {"/", "/embed", "/compare", "/enroll", "/search", "/people", "/photos", "/health", "/ready"}
)


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
            "face_batch_size", "Faces embedded in one pass", registry=self._registry,
            buckets=(1, 2, 4, 8, 16, 32),
        )  # fmt: skip
        self.waiting = Gauge("face_waiting", "Requests in progress", registry=self._registry)
        self.body_bytes = Gauge(
            "face_body_bytes", "Bytes of request bodies in memory", registry=self._registry
        )
        self.active = 0  # requests in progress
        self.waiting.set_function(lambda: self.active)
        self.people = Gauge("face_people", "People enrolled", registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one request.  Unknown paths share a label: strangers must not fill the memory."""
        path = path.removeprefix("/v1") or "/"
        route = next((f"/{p}" for p in ("people", "photos") if path.startswith(f"/{p}/")), path)
        route = route if route in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
