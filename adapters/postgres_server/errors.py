"""The error of the embedded server."""


class EmbeddedPostgresError(Exception):
    """The server cannot run. The message is one sentence for the operator."""
