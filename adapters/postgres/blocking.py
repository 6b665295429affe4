"""Runs a `Statement` on a blocking connection, as migrations have it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import psycopg
from sqlalchemy import Connection

from adapters.postgres.database import Row, Statement, Values

_NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})


def fetch_all(
    connection: Connection, statement: Statement, values: Values = _NO_VALUES
) -> Sequence[Row]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    cursor = psycopg.RawCursor(driver)
    return cursor.execute(statement.encoded, statement.bind(values)).fetchall()
