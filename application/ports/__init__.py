"""The ports of the use cases, one file per role. `domain/` has those of the entities."""
