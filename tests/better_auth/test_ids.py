"""Ids and tokens."""

import string
from collections import Counter

from adapters.better_auth.ids import random_id


def test_an_id_is_in_better_auths_form() -> None:
    """32 letters and digits; a dot in a token would be the end of it as a bearer."""
    ids = [random_id() for _ in range(1_000)]
    assert {len(id) for id in ids} == {32}
    assert set("".join(ids)) == set(string.ascii_letters + string.digits)


def test_no_two_ids_are_alike() -> None:
    assert len({random_id() for _ in range(1_000)}) == 1_000


def test_every_letter_is_as_likely_as_every_other() -> None:
    """1,032 are expected of each: a fifth more or less is seen once in a hundred million runs."""
    counts = Counter("".join(random_id() for _ in range(2_000)))
    assert min(counts.values()) > 826
    assert max(counts.values()) < 1_239
