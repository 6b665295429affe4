"""Two users with tasks, and valid requests to every route."""

from typing import Final

import httpx

from adapters.asgi.request_record import PROBE_PATHS
from tests.http.api import LOG_IN, LOG_OUT, SIGN_UP
from tests.http.backend import Backend
from tests.http.client import JSON, ORIGIN, send_request
from tests.http.credentials import Headers, access_token, bearer
from tests.http.fields import Route, valid_body
from tests.http.rows import add_session, add_task, add_user

PUBLIC: Final = PROBE_PATHS | {SIGN_UP, LOG_IN, LOG_OUT}


class Scenario:
    """Ann and Bob, each with a task, and a session of Ann. Requests come from the front end."""

    def __init__(self, backend: Backend) -> None:
        self.app, self.store = backend.app, backend.store
        self.reset()

    def reset(self) -> None:
        self.store.clear()
        add_user(self.store)
        add_user(self.store, "bob")
        self.task = add_task(self.store)
        self.bobs_task = add_task(self.store, "bob")
        self.session = add_session(self.store)

    async def request(
        self,
        route: Route,
        headers: Headers | None = None,
        *,
        query: str = "",
        content: str | bytes | None = None,
        page: Headers | None = None,
        task_id: int | None = None,
        session_id: str | None = None,
    ) -> httpx.Response:
        """Send a request that is valid unless an argument says otherwise."""
        method, path = route
        credential = bearer(access_token(self.session)) if path not in PUBLIC else []
        url = path.format(task_id=task_id or self.task.id, session_id=session_id or self.session.id)
        body = valid_body(route) if content is None else content
        return await send_request(
            self.app,
            method,
            url,
            [
                *(credential if headers is None else headers),
                *([JSON] if body and JSON not in (headers or ()) else []),
                *([("Origin", ORIGIN)] if page is None else page),
            ],
            query=query,
            content=body,
        )
