"""The application that the documents describe."""

import pytest
from fastapi import FastAPI

from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.http.client import SECRET


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """The application with all of its middleware."""
    return from_settings(Settings(better_auth_secret=SECRET, allowed_hosts="localhost"))
