"""The parts of any JSON API: request record, middleware, JSON bodies, problem details."""
