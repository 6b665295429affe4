"""The ports over dictionaries, for `taskport serve --memory` and for fast tests."""
