"""The server process: listener, workers, event loop, and an HTTP protocol with deadlines."""
