"""The internals of FastAPI that we use. No other module imports any.

`DirectRoute` reads a request by what FastAPI has made of the route's signature: the attributes of
`APIRoute.dependant`, and the fields in it. FastAPI documents neither, and any release may change
them. `pyproject.toml` says which releases are known to have them; the tests run on the oldest and
on the newest of these.
"""

from fastapi._compat import ModelField

__all__ = ["ModelField"]
