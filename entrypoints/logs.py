"""How this process writes its log."""

from typing import Any

from entrypoints.settings import Settings


def log_config(settings: Settings) -> dict[str, Any]:
    """For `logging.config.dictConfig`, in each process."""
    level = "DEBUG" if settings.debug else settings.log_level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {"taskport": {"level": level}},
    }
