"""The log: structured lines, as JSON or for a console, written in batches."""
