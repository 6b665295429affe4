"""The log: structured lines in JSON, written in batches."""
