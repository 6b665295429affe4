"""What the embedded server raises."""


class EmbeddedPostgresError(Exception):
    """Why the server cannot run here, in one sentence."""
