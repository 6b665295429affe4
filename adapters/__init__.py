"""The adapters: one folder per technology. None imports another, but `http` builds on `asgi`."""
