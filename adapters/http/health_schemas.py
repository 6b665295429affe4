"""The schemas of the probes."""

from typing import Literal

from pydantic import ConfigDict

from adapters.http.schema import Schema


class Health(Schema):
    """Whether something is well."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class DatabaseHealth(Health):
    """Whether the database answers, and how long that took."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "latency_ms": 0.7}]})

    latency_ms: float
