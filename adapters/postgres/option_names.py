"""Checks the names in `BETTER_AUTH_SCHEMA` and `BETTER_AUTH_MODELS` against the catalog."""

from collections.abc import Sequence

from adapters.postgres.catalog import CatalogTable
from adapters.postgres.layout import LayoutOptions, UnsupportedLayout


def check_names(options: LayoutOptions, tables: Sequence[CatalogTable]) -> None:
    """Raises `UnsupportedLayout` with the first name that is not one of these tables or columns."""
    for model in options.models:
        name = options.of(model).table
        named = [table for table in tables if name in (None, table.name)]
        if name is not None and not named:
            where = f' in the schema "{options.schema}"' if options.schema else ""
            raise UnsupportedLayout(
                f'BETTER_AUTH_MODELS names the table "{name}" for the model {model}, but there'
                f" is no such table{where}"
            )
        check_columns(options, model, named)


def check_columns(options: LayoutOptions, model: str, tables: Sequence[CatalogTable]) -> None:
    """Raises `UnsupportedLayout` with a column of the model that none of these tables has."""
    existing = {column.name for table in tables for column in table.columns}
    for field, column in options.of(model).columns.items():
        if tables and column not in existing:
            where = f"{tables[0]} has no" if len(tables) == 1 else "no table has"
            such = "such column" if len(tables) == 1 else "such a column"
            raise UnsupportedLayout(
                f'BETTER_AUTH_MODELS names the column "{column}" for {model}.{field}, but'
                f" {where} {such}"
            )
