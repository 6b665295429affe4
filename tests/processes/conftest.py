"""Marks what lies here."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/processes/" in item.nodeid and "test_settings" not in item.nodeid:
            item.add_marker(pytest.mark.process)
