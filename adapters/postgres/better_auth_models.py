"""The fields of Better Auth's models, and how a column may spell them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.postgres.catalog import CatalogColumn, CatalogTable
from adapters.postgres.layout import ModelName


@dataclass(frozen=True, slots=True)
class Model:
    """The fields of a model of Better Auth's."""

    name: ModelName
    #: The fields without which a table is not this model.
    distinctive: tuple[str, ...]
    #: The further fields that this service needs.
    required: tuple[str, ...]
    #: The fields that only some versions and plugins have.
    optional: tuple[str, ...] = ()
    #: The fields that hardly any other table has: two of them make a table a suspect.
    telling: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.distinctive, *self.required, *self.optional)


USER: Final = Model(
    "user",
    distinctive=("email", "emailVerified"),
    required=("id", "name", "image", "createdAt", "updatedAt"),
    optional=("twoFactorEnabled", "banned", "banExpires"),
    telling=("email", "emailVerified", "image"),
)
SESSION: Final = Model(
    "session",
    distinctive=("token", "expiresAt", "userId"),
    required=("id", "createdAt", "updatedAt", "ipAddress", "userAgent"),
    telling=("ipAddress", "userAgent"),
)
ACCOUNT: Final = Model(
    "account",
    distinctive=("accountId", "providerId", "userId"),
    required=("id", "password", "createdAt", "updatedAt"),
    optional=("issuer", "accessToken", "refreshToken", "idToken"),
    telling=("accountId", "providerId", "accessToken", "refreshToken", "idToken"),
)
VERIFICATION: Final = Model(
    "verification",
    distinctive=("identifier", "value", "expiresAt"),
    required=("id",),
)
JWKS: Final = Model(
    "jwks",
    distinctive=("publicKey", "privateKey"),
    required=("id",),
    optional=("createdAt", "expiresAt", "alg"),
)
MODELS: Final = (SESSION, USER, ACCOUNT, VERIFICATION, JWKS)
MODEL_NAMES: Final = tuple(model.name for model in MODELS)


@dataclass(frozen=True, slots=True)
class Match:
    """A table, and the fields of a model that it has columns for."""

    model: Model
    table: CatalogTable
    columns: Mapping[str, CatalogColumn]

    @property
    def missing(self) -> list[str]:
        needed = (*self.model.distinctive, *self.model.required)
        return [name for name in needed if name not in self.columns]

    @property
    def is_distinct(self) -> bool:
        return all(name in self.columns for name in self.model.distinctive)

    @property
    def is_suspect(self) -> bool:
        """Whether the table could be this model, with columns under names that do not tell."""
        return self.is_distinct or sum(name in self.columns for name in self.model.telling) > 1


def spelled(columns: Iterable[CatalogColumn], field: str, model: Model) -> list[CatalogColumn]:
    """The columns whose name is a spelling of the field: the most literal one first."""
    candidates = [field.lower()]
    # `account_id` is another field of the account than its id.
    prefixed = (model.name + field).lower()
    if all(prefixed != other.lower() for other in model.fields):
        candidates.append(prefixed)
    found = [c for c in columns if _normalized(c.name) in candidates]
    return sorted(
        found, key=lambda c: (c.name != field, candidates.index(_normalized(c.name)), c.name)
    )


def _normalized(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
