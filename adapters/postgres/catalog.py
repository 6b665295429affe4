"""The tables of a database, as PostgreSQL's catalog describes them.

The catalog lists every table, also those that the role has no privileges for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.postgres.database import Row, Statement

#: What an id or a time may be. `other` is any type that this service cannot use for either.
Kind = Literal["text", "uuid", "integer", "bigint", "boolean", "timestamp", "timestamptz", "other"]

_KINDS: Final[Mapping[str, Kind]] = {
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "citext": "text",
    "uuid": "uuid",
    "int2": "integer",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
# `atttypmod` of `varchar(n)` and `char(n)` counts a header of four bytes.
_LENGTH_HEADER: Final = 4


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column."""

    name: str
    kind: Kind
    #: The name of its type, as `format_type` has it: `timestamp(3) without time zone`.
    type: str
    is_nullable: bool
    #: Whether PostgreSQL fills it if an insert leaves it out: a default, or an identity.
    has_default: bool
    #: `GENERATED ALWAYS AS (...) STORED` or `VIRTUAL`: it cannot be written.
    is_generated: bool
    #: The most characters that it can store, or None.
    max_length: int | None = None
    #: Decimal places of the seconds that it can store.
    precision: int = 6


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of one column."""

    name: str
    column: str
    #: The `oid` of the table that it references.
    table: int
    referenced: str
    #: Whether deleting the referenced row deletes this one: `on delete cascade`.
    is_cascading: bool


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table, or a view that may be in its place."""

    oid: int
    schema: str
    name: str
    is_view: bool
    columns: tuple[CatalogColumn, ...]
    #: The columns of each unique index without a condition, the primary key included.
    unique: frozenset[frozenset[str]]
    foreign_keys: tuple[ForeignKey, ...]
    #: The `oid`s of the tables that a view reads.
    sources: tuple[int, ...] = ()

    def __str__(self) -> str:
        return quoted(self.schema, self.name)


# `typbasetype` of a domain; a domain over a domain is rare enough to be of kind `other`.
_TABLES: Final = """
select c.oid::bigint, n.nspname::text, c.relname::text, c.relkind = 'v',
  (select json_agg(json_build_object(
      'name', a.attname, 'base', coalesce(b.typname, t.typname),
      'type', format_type(a.atttypid, a.atttypmod),
      'mod', case when b.oid is null then a.atttypmod else t.typtypmod end,
      'is_nullable', not (a.attnotnull or t.typnotnull),
      'has_default', a.attidentity <> '' or (a.atthasdef and a.attgenerated = ''),
      'is_generated', a.attgenerated <> '') order by a.attnum)
   from pg_catalog.pg_attribute a
   join pg_catalog.pg_type t on t.oid = a.atttypid
   left join pg_catalog.pg_type b on b.oid = t.typbasetype
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select json_agg((select json_agg(a.attname)
                    from unnest(i.indkey[0:i.indnkeyatts - 1]) k
                    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k))
   from pg_catalog.pg_index i
   where i.indrelid = c.oid and i.indisunique and i.indisvalid
     and i.indpred is null and i.indexprs is null),
  (select json_agg(json_build_object(
      'name', f.conname, 'table', f.confrelid::bigint, 'is_cascading', f.confdeltype = 'c',
      'column', (select a.attname from pg_catalog.pg_attribute a
                 where a.attrelid = c.oid and a.attnum = f.conkey[1]),
      'referenced', (select a.attname from pg_catalog.pg_attribute a
                     where a.attrelid = f.confrelid and a.attnum = f.confkey[1])))
   from pg_catalog.pg_constraint f
   where f.conrelid = c.oid and f.contype = 'f' and cardinality(f.conkey) = 1),
  (select json_agg(distinct d.refobjid::bigint)
   from pg_catalog.pg_rewrite r
   join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass
     and d.objid = r.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
     and d.refobjid <> c.oid
   where c.relkind = 'v' and r.ev_class = c.oid)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'f') and not c.relispartition
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  and (n.nspname <> 'taskport' or c.relname in ('user', 'session', 'account', 'verification'))
  and not exists (select from pg_catalog.pg_inherits h where h.inhrelid = c.oid)
  and not exists (select from pg_catalog.pg_depend e
                  where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid
                    and e.deptype = 'e')
"""
ALL_TABLES: Final = Statement("layout.all_tables", _TABLES + "order by 2, 3")
SOME_TABLES: Final = Statement(
    "layout.some_tables", _TABLES + "and c.oid = any($1::text::oid[]) order by 2, 3", ("oids",)
)
"""`oids` is the text of an array, such as `{1,2}`."""


def quoted(*names: str) -> str:
    """A name for SQL text, qualified by the names before it."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def to_table(row: Row) -> CatalogTable:
    """The table in a row of `ALL_TABLES` or `SOME_TABLES`."""
    oid, schema, name, is_view, columns, unique, foreign_keys, sources = row
    return CatalogTable(
        oid=oid,
        schema=schema,
        name=name,
        is_view=is_view,
        columns=tuple(_to_column(**column) for column in columns or ()),
        unique=frozenset(frozenset(names) for names in unique or () if names),
        foreign_keys=tuple(ForeignKey(**key) for key in foreign_keys or ()),
        sources=tuple(sources or ()),
    )


def to_tables(rows: Sequence[Row]) -> list[CatalogTable]:
    return [to_table(row) for row in rows]


def _to_column(*, base: str, mod: int, **attributes: Any) -> CatalogColumn:
    kind = _KINDS.get(base, "other")
    has_length = base in ("varchar", "bpchar") and mod >= _LENGTH_HEADER
    return CatalogColumn(
        kind=kind,
        max_length=mod - _LENGTH_HEADER if has_length else None,
        precision=mod if kind in ("timestamp", "timestamptz") and mod >= 0 else 6,
        **attributes,
    )
