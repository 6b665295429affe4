"""The statements on Better Auth's table of users, compiled from a `Layout`."""

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Statement
from adapters.postgres.layout import BetterAuthTable, Layout, parameter
from adapters.postgres.tables import OWNERS, SCHEMA, TASKS

_ID: Final = parameter("id")
_ID_TEXT: Final = bindparam("id_text", type_=Text)
_ISSUED_AT: Final = bindparam("issued_at", type_=DateTime(timezone=True))
FIELDS: Final = ("email", "name", "emailVerified", "image", "createdAt", "updatedAt")
UPDATED: Final = ("email", "name", "emailVerified", "image", "updatedAt")
PLUGINS: Final = ("twoFactorEnabled", "banned", "banExpires")
# A cookie cache of the front end issues tokens for a deleted account for some minutes more.
_ABSENCE: Final[ColumnElement[Any]] = literal_column("interval '1 hour'")

# Not a deletion that a credential was issued after.
_not_deleted_since = or_(OWNERS.c.last_deleted_at.is_(None), OWNERS.c.last_deleted_at < _ISSUED_AT)
# A deletion after which a credential may not introduce the id again yet.
_is_recent = or_(_ISSUED_AT.is_(None), OWNERS.c.deleted_at + _ABSENCE >= _ISSUED_AT)
_owner = exists().where(OWNERS.c.id == _ID_TEXT)
_was_deleted = _owner.where(OWNERS.c.deleted_at.is_not(None), _is_recent)
# Also the id of a user whose row is gone, while what the user owned is there.
_is_reserved = _owner.where(or_(OWNERS.c.deleted_at.is_(None), _is_recent))
#: Whether an owner's tasks were moved to another user, by `move_tasks`: a deletion sets both times.
WAS_MOVED: Final = and_(
    OWNERS.c.deleted_at.is_not(None),
    OWNERS.c.deleted_at.is_distinct_from(OWNERS.c.last_deleted_at),
)
REMOVE_TASKS = Statement.compile(
    "users.remove_tasks",
    delete(TASKS).where(
        TASKS.c.user_id == _ID_TEXT,
        _owner.where(OWNERS.c.deleted_at.is_not(None)),
    ),
)


def user_columns(
    user: BetterAuthTable, is_other: ColumnElement[bool] | None = None
) -> list[ColumnElement[Any]]:
    """The columns that `to_user` reads; null for a plugin's column that does not exist.

    The last one tells whether the owner row is another account's.
    """
    verified: ColumnElement[Any] = user.c.emailVerified
    if user.columns["emailVerified"].kind != "boolean":
        verified = verified.is_not(None)
    return [
        user.text("id"),
        user.text("email"),
        user.text("name"),
        verified,
        user.text("image"),
        user.c.createdAt,
        user.c.updatedAt,
        *(user.c[name] if name in user.columns else null() for name in PLUGINS),
        false() if is_other is None else is_other,
    ]


def is_other_account(user: BetterAuthTable) -> ColumnElement[bool]:
    """Whether the owner row was made for another account, or for one that was deleted.

    The front end's tables may have been rebuilt, so that an id is given again, or restored, so that
    a deleted account is there again. Its rows are then not those of the user.
    """
    created = user.time("createdAt")
    second: ColumnElement[Any] = literal_column("interval '1 second'")
    is_same = func.coalesce(
        and_(OWNERS.c.created_at > created - second, OWNERS.c.created_at < created + second),
        and_(OWNERS.c.created_at.is_(None), created.is_(None)),
    )
    is_deleted = OWNERS.c.deleted_at.is_not(None)
    return and_(OWNERS.c.id.is_not(None), is_same == is_deleted)


def has_other_owner(user: BetterAuthTable) -> ColumnElement[bool]:
    """`is_other_account` without a join of the owners."""
    return exists().where(OWNERS.c.id == user.text("id"), is_other_account(user))


@cache
def get(layout: Layout) -> Statement:
    user = layout.user
    return Statement.compile(
        "users.get",
        select(*user_columns(user, is_other_account(user)))
        .select_from(user.table.outerjoin(OWNERS, OWNERS.c.id == user.text("id")))
        .where(user.c.id == _ID, _not_deleted_since),
    )


@cache
def find_by_email(layout: Layout) -> Statement:
    user = layout.user
    return Statement.compile(
        "users.find_by_email",
        select(*user_columns(user)).where(user.c.email == parameter("email")),
    )


@cache
def any_exists(layout: Layout) -> Statement:
    return Statement.compile("users.exists", select(exists().select_from(layout.user.table)))


def _insertable(user: BetterAuthTable, *, with_id: bool) -> tuple[str, ...]:
    return user.writable(("id", *FIELDS) if with_id else FIELDS)


def _returned(user: BetterAuthTable) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return user.text("id").label("id"), user.time("createdAt").label("created_at")


@cache
def add(layout: Layout) -> Statement:
    """Insert a user, and an owner row that tells where the account was made.

    On a conflict of the address, nothing: an error would abort the transaction.
    """
    user = layout.user
    names = _insertable(user, with_id=user.new_id("") is not None)
    added = (
        insert(user.table)
        .values({name: parameter(name) for name in names})
        .on_conflict_do_nothing()
        .returning(*_returned(user))
        .cte("added")
    )
    owner = insert(OWNERS).from_select(
        ("id", "created_at", "signed_up_here"), select(added.c.id, added.c.created_at, true())
    )
    owner = owner.on_conflict_do_update(
        index_elements=[OWNERS.c.id],
        set_={
            "created_at": owner.excluded.created_at,
            "deleted_at": null(),
            "signed_up_here": true(),
        },
        where=OWNERS.c.deleted_at.is_not(None),
    )
    return Statement.compile(
        "users.add", select(added.c.id).add_cte(owner.cte("owner")), is_write=True
    )


@cache
def introduce(layout: Layout) -> Statement:
    user = layout.user
    names = _insertable(user, with_id=True)
    added = (
        insert(user.table)
        .from_select(
            names,
            select(*[parameter(name) for name in names]).where(~_is_reserved),
        )
        # On a conflict of the id or of the address: of two concurrent requests of the same user,
        # either can come first.
        .on_conflict_do_nothing()
        .returning(*_returned(user))
        .cte("added")
    )
    restored = (
        update(OWNERS)
        .where(OWNERS.c.id == added.c.id)
        .values(created_at=added.c.created_at, deleted_at=null(), signed_up_here=false())
    )
    return Statement.compile(
        "users.introduce", select(added.c.id).add_cte(restored.cte("restored")), is_write=True
    )


@cache
def why_not_introduced(layout: Layout) -> Statement:
    user = layout.user
    return Statement.compile(
        "users.why_not_introduced",
        select(_is_reserved, exists().select_from(user.table).where(user.c.id == _ID)),
    )


@cache
def remove_if_deleted(layout: Layout) -> Statement:
    user = layout.user
    return Statement.compile(
        "users.remove_if_deleted", delete(user.table).where(user.c.id == _ID, _was_deleted)
    )


@cache
def save(layout: Layout) -> Statement:
    user, updated_at = layout.user, parameter("updatedAt")
    return Statement.compile(
        "users.save",
        update(user.table)
        .where(user.c.id == _ID, or_(user.c.updatedAt.is_(None), user.c.updatedAt < updated_at))
        .values({n: parameter(n) for n in user.writable(UPDATED)}),
    )


@cache
def rename(layout: Layout) -> Statement:
    user = layout.user
    # The smallest difference that the column can store.
    step: ColumnElement[Any] = literal_column(
        f"interval '{10 ** -user.columns['updatedAt'].precision:f} seconds'"
    )
    newer = func.greatest(parameter("now"), user.c.updatedAt + step)
    values = {"name": parameter("name"), "updatedAt": newer}
    return Statement.compile(
        "users.rename",
        update(user.table)
        .where(user.c.id == _ID)
        .values({name: values[name] for name in user.writable(tuple(values))})
        .returning(*user_columns(user)),
    )


@cache
def release_email(layout: Layout) -> Statement:
    user = layout.user
    signed_up_here = exists().where(
        OWNERS.c.id == user.text("id"), OWNERS.c.signed_up_here, OWNERS.c.deleted_at.is_(None)
    )
    # In our schema are users of a Better Auth elsewhere, where no two have the same address: if one
    # has it here, that one was deleted there, or has another address by now.
    is_outdated = user.catalog.schema == SCHEMA
    # An address that nobody can have, nor sign up with before, and that Better Auth accepts.
    nobody = func.concat(
        literal_column("'displaced-'"), func.gen_random_uuid(), literal_column("'@example.invalid'")
    )
    return Statement.compile(
        "users.release_email",
        update(user.table)
        .where(
            user.c.email == parameter("email"),
            *(() if is_outdated else (user.c.emailVerified == false(), signed_up_here)),
        )
        .values(email=nobody),
    )


@cache
def remove(layout: Layout) -> Statement:
    """Delete a user with what references it, and remember the id.

    A foreign key without `on delete cascade` is checked at the end of the statement. The user is
    locked first: the same order of locks as if the front end deleted it.
    """
    user = layout.user
    deleted = insert(OWNERS).from_select(
        ("id", "created_at", "deleted_at", "last_deleted_at"),
        select(*_returned(user), func.clock_timestamp(), func.clock_timestamp()).where(
            user.c.id == _ID
        ),
    )
    deleted = deleted.on_conflict_do_update(
        index_elements=[OWNERS.c.id],
        set_={
            "created_at": deleted.excluded.created_at,
            "deleted_at": deleted.excluded.deleted_at,
            "last_deleted_at": deleted.excluded.last_deleted_at,
        },
    )
    statement = delete(user.table).where(user.c.id == _ID).add_cte(deleted.cte("deleted"))
    for table in layout.core_tables[1:]:
        if not table.is_deleted_with(user):
            owned = delete(table.table).where(table.c.userId == _ID)
            statement = statement.add_cte(owned.cte(table.model))
    return Statement.compile("users.remove", statement)
