"""Tables of the schema `taskport`, as the models declare it, and of the migrations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from alembic.script import ScriptDirectory
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import AddConstraint, Constraint, CreateIndex
from sqlmodel import SQLModel

import domain
from adapters.postgres.tables import METADATA, SCHEMA
from specs.generator.markdown import code, section, table
from specs.generator.modules import classes
from specs.generator.source import ROOT, comments_of

_DIALECT: Final[Any] = PGDialect()  # type: ignore[no-untyped-call]


def tables(metadata: MetaData = METADATA) -> str:
    """A section for each of our tables: columns, constraints, indexes, storage parameters."""
    own = sorted((t for t in metadata.tables.values() if t.schema == SCHEMA), key=lambda t: t.name)
    return "\n\n".join(map(_table, own))


def migrations() -> str:
    """Every migration, the first one first, with its docstring."""
    script = ScriptDirectory(str(ROOT / "alembic"))
    return table(
        ("Revision", "File", "Meaning"),
        (
            (code(found.revision), code(str(Path(found.path).relative_to(ROOT))), found.doc)
            for found in reversed(list(script.walk_revisions()))
        ),
    )


def _table(found: Table) -> str:
    comments = _comments(found)
    columns = table(
        ("Column", "Type", "Null", "Meaning"),
        (
            (
                code(column.name),
                code(_type(column)),
                "yes" if column.nullable else "no",
                comments.get(column.name, ""),
            )
            for column in found.columns
        ),
    )
    definitions = table(("Constraint or index", "Definition"), _definitions(found))
    storage = found.dialect_options["postgresql"]["with"] or {}
    parameters = ", ".join(code(f"{name}={value}") for name, value in storage.items())
    storage_text = f"Storage parameters: {parameters}." if parameters else ""
    return section(3, code(found.fullname), columns, definitions, storage_text)


def _comments(found: Table) -> Mapping[str, str]:
    """The comments of the entity of a table, and those of the model."""
    comments: dict[str, str] = {}
    for model in SQLModel.__subclasses__():
        if getattr(model, "__table__", None) is found:
            for entity in classes(domain):
                if entity.__name__ == model.__name__.removesuffix("Row"):
                    comments.update(comments_of(entity))
            comments.update(comments_of(model))
    return comments


def _type(column: Column[Any]) -> str:
    generated = " generated always as identity" if column.identity is not None else ""
    return str(column.type.compile(_DIALECT)).lower() + generated


def _definitions(found: Table) -> Iterator[tuple[str, str]]:
    for constraint in sorted(found.constraints, key=lambda constraint: str(constraint.name)):
        yield code(str(constraint.name)), code(_constraint(constraint))
    for index in sorted(found.indexes, key=lambda index: str(index.name)):
        yield code(str(index.name)), code(str(CreateIndex(index).compile(dialect=_DIALECT)))


def _constraint(constraint: Constraint) -> str:
    # Otherwise, `create_all` would no longer create the constraint.
    ddl = AddConstraint(constraint, isolate_from_table=False)
    text = str(ddl.compile(dialect=_DIALECT))
    return text.partition(f" CONSTRAINT {constraint.name} ")[2]
