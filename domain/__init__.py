"""The entities, their rules and errors. Plain Python: no I/O, no clock, no framework."""
