"""The role that serves requests, and what the owner of the tables does meanwhile."""

from typing import Final

import psycopg

ROLE: Final = "serving"


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())
