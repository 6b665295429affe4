"""What a user can do: one use case per verb, and the ports that the use cases need."""
