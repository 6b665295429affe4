"""The use cases, one per verb, and the ports that they need. Plain Python."""
