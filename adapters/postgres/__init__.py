"""Everything that knows Postgres: tables, statements, the seam to the driver, an own server."""
