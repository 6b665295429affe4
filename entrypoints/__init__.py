"""The processes: settings from the environment, the container, the ASGI app, the command line."""
