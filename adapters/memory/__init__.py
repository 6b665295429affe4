"""The ports in dictionaries: `taskport serve --memory`, and the fast test double."""
