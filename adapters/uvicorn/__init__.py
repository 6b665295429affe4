"""The server process: a protocol with deadlines, an event loop that drains its backlog."""
