"""Writes the tables of `specs/backend` that mirror the code, and `.env.example`."""
