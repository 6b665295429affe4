"""`database-spec.md`: every table as the catalog of PostgreSQL describes it."""

import re
from typing import Any, Final, LiteralString

import psycopg
import pytest

from adapters.postgres.tables import METADATA, SCHEMA
from tests.specs.markdown import SPECS, code, document, rows

pytestmark = pytest.mark.postgres

DATABASE: Final = document(SPECS / "database-spec.md")
_COLUMNS: Final = """
    select n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attnotnull then 'no' else 'yes' end,
           case when a.attidentity <> '' then 'identity'
                else coalesce(pg_get_expr(d.adbin, d.adrelid), '') end
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind in ('r', 'p', 'f', 'v', 'm') and a.attnum > 0 and not a.attisdropped
"""
_CONSTRAINTS: Final = """
    select n.nspname || '.' || c.relname, o.conname, pg_get_constraintdef(o.oid)
    from pg_constraint o join pg_class c on c.oid = o.conrelid
    join pg_namespace n on n.oid = c.relnamespace
    where o.contype <> 'n'
"""
_INDEXES: Final = """
    select schemaname || '.' || tablename, indexname, indexdef
    from pg_indexes
"""
_TRIGGERS: Final = """
    select n.nspname || '.' || c.relname, t.tgname, pg_get_triggerdef(t.oid)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal
"""
_FUNCTIONS: Final = """
    select n.nspname || '.' || p.proname, pg_get_functiondef(p.oid)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.prokind <> 'a'
"""
Facts = set[tuple[str, ...]]


def facts(url: str, query: LiteralString) -> Facts:
    with psycopg.connect(url) as connection:
        found = connection.execute(query).fetchall()
    # `tests/migrations` compares our own tables with the models, which generate the document.
    generated = {table.fullname for table in METADATA.tables.values() if table.schema == SCHEMA}
    return {
        row
        for row in found
        if row[0] not in generated and not re.match(r"pg_|information_schema\.", row[0])
    }


def documented(*header: str) -> Facts:
    """The rows of the document about each table, each with the name of that table first."""
    found: Facts = set()
    for section in DATABASE.sections:
        name = section.heading.strip("`")
        if re.fullmatch(r"[a-z_]+\.[a-z_]+", name):
            for row in rows(t for t in section.tables if t.header[: len(header)] == header):
                cells = row[: len(header)]
                found.add((name, *(code(cell) or cell for cell in cells)))
    return found


CASES: Final[list[Any]] = [
    pytest.param(("Column", "Type", "Null", "Default"), _COLUMNS, id="columns"),
    pytest.param(("Constraint", "Definition"), _CONSTRAINTS, id="constraints"),
    pytest.param(("Index", "Definition"), _INDEXES, id="indexes"),
    pytest.param(("Trigger", "Definition"), _TRIGGERS, id="triggers"),
]


@pytest.mark.parametrize(("header", "query"), CASES)
def test_document_and_catalog_are_equal(
    database_url: str, header: tuple[str, ...], query: LiteralString
) -> None:
    expected = facts(database_url, query)
    assert expected
    assert sorted(documented(*header)) == sorted(expected)


def test_undocumented_column_and_index_are_found(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table public.jwks add color text check (color <> '')")
        connection.execute("create index jwks_color on public.jwks (color)")
    missing = {
        fact[:2]
        for header, query in (case.values for case in CASES)
        for fact in facts(database_url, query) - documented(*header)
    }
    names = {"color", "jwks_color", "jwks_color_check"}
    assert missing == {("public.jwks", name) for name in names}


def test_every_function_is_documented_exactly(database_url: str) -> None:
    """Replacing it with the text of the document changes nothing but white space."""
    texts = [code.text for code in DATABASE.codes if code.text.startswith("create function ")]
    before = functions(database_url)
    assert len(before) == len(texts) == 2
    with psycopg.connect(database_url) as connection:
        for text in texts:
            connection.execute(text.replace("create", "create or replace", 1).encode())
    assert functions(database_url) == before


def functions(url: str) -> Facts:
    return {(name, " ".join(text.split())) for name, text in facts(url, _FUNCTIONS)}
