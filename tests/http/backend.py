"""The application under test: the real wiring in memory, with a few parts swapped."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI

from adapters.memory.store import MemoryStore
from application.ports.passwords import Passwords
from entrypoints.app import from_service
from entrypoints.container import Service, build
from entrypoints.settings import Settings
from tests.http.client import SECRET
from tests.http.fakes import FakePasswords

_NOTHING: Final[Mapping[Any, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Backend:
    """An application, the service that it serves, and the store and settings of that service."""

    app: FastAPI
    service: Service
    store: MemoryStore
    settings: Settings


def build_backend(replace: Mapping[Any, object] = _NOTHING, **settings: Any) -> Backend:
    """Build an application with these settings.

    `replace` swaps parts as in `entrypoints.container.build`. Passwords are fake unless it says
    otherwise: a real hash takes longer than a hundred tests.
    """
    store = MemoryStore()
    parsed = Settings(**{"better_auth_secret": SECRET, **settings})
    service = build(parsed, {MemoryStore: store, Passwords: FakePasswords(), **replace})
    return Backend(from_service(service, parsed), service, store, parsed)
