"""What a task and a user are, and what must be true of them. Plain Python."""
