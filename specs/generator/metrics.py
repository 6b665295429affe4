"""The table of metrics."""

from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from specs.generator.markdown import code, codes, table
from specs.generator.modules import import_all


def metrics(registry: CollectorRegistry = REGISTRY) -> str:
    """Our metrics, without those of the Python client library."""
    import_all()
    # prometheus_client has no public API for the labels of a metric without a series.
    collectors: dict[str, Any] = registry._names_to_collectors
    return table(
        ("Metric", "Type", "Labels", "Buckets", "Meaning"),
        (
            (
                code(metric.name + ("_total" if metric.type == "counter" else "")),
                metric.type,
                codes(collectors[metric.name]._labelnames),
                _buckets(collectors[metric.name]),
                metric.documentation,
            )
            for metric in sorted(registry.collect(), key=lambda metric: metric.name)
            if not metric.name.startswith(("python_", "process_"))
        ),
    )


def _buckets(collector: Any) -> str:
    """The finite upper bounds of a histogram, in milliseconds below one second."""
    bounds = [bound for bound in getattr(collector, "_upper_bounds", ()) if bound != float("inf")]
    short = [f"{bound * 1000:g}" for bound in bounds if bound < 1]
    long = [f"{bound:g}" for bound in bounds if bound >= 1]
    return f"{', '.join(short)} ms; {', '.join(long)} s" if bounds else ""
