"""Storage in Postgres: tables, statements, the `Database` seam, repositories and stores."""
