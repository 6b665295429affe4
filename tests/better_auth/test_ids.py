"""Ids and tokens."""

import string
from collections import Counter

from adapters.better_auth.ids import random_id


def test_ids_have_better_auths_format() -> None:
    """32 letters and digits. A dot would be taken for the separator of a signature."""
    ids = [random_id() for _ in range(1_000)]
    assert {len(id) for id in ids} == {32}
    assert set("".join(ids)) == set(string.ascii_letters + string.digits)


def test_ids_are_unique() -> None:
    assert len({random_id() for _ in range(1_000)}) == 1_000


def test_characters_are_equally_likely() -> None:
    """Each is expected 1,032 times; a fifth more or less occurs once in 100 million runs."""
    counts = Counter("".join(random_id() for _ in range(2_000)))
    assert min(counts.values()) > 826
    assert max(counts.values()) < 1_239
