"""The embedded PostgreSQL server: its binaries, start, stop and adoption."""
