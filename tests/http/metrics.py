"""Metrics as the tests read them."""

from prometheus_client import REGISTRY

from adapters.asgi import access_log


def requests_counted(method: str, route: str, status: int) -> float:
    access_log.flush()
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0


def durations(method: str, route: str) -> float:
    access_log.flush()
    labels = {"method": method, "route": route}
    return REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0


def limit_decisions(limit: str, decision: str) -> float:
    access_log.flush()
    labels = {"limit": limit, "decision": decision}
    return REGISTRY.get_sample_value("taskport_rate_limit_decisions_total", labels) or 0


def refusals_counted(error_code: str, reason: str) -> float:
    labels = {"error_code": error_code, "reason": reason}
    return REGISTRY.get_sample_value("taskport_refusals_total", labels) or 0


def series() -> set[str]:
    """The names of all time series, with their labels."""
    access_log.flush()
    return {
        f"{sample.name}{sorted(sample.labels.items())}"
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(("http_", "taskport_"))
    }


def cached_series() -> int:
    """How many time series of durations are cached."""
    size: int = access_log._duration.cache_info().currsize
    return size
