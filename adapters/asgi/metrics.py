"""The metrics of requests, under the names that Prometheus recommends."""

from typing import Final

from prometheus_client import Counter, Histogram

REQUESTS: Final = Counter(
    "http_requests_total",
    "Finished requests. Status 499: the client disconnected before the response.",
    ("method", "route", "status"),
)
DURATION: Final = Histogram(
    "http_request_duration_seconds",
    "From the headers of a request to the end of its response.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DECISIONS: Final = Counter(
    "taskport_rate_limit_decisions_total",
    "Decisions of the rate limits. Uncounted: the storage of the counters is unavailable.",
    ("limit", "decision"),
)
REFUSALS: Final = Counter(
    "taskport_refusals_total",
    "Requests that were refused with 401 or 403, by the reason that the response does not tell.",
    ("error_code", "reason"),
)
ALLOWED: Final = DECISIONS.labels("requests", "allowed")
REJECTED: Final = DECISIONS.labels("requests", "refused")
UNCOUNTED: Final = DECISIONS.labels("requests", "uncounted")
