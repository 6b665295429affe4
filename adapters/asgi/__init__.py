"""What any JSON API needs and no noun: request record, middleware, bodies, problem details."""
