"""What connects the core to the world: one folder per technology, none knows another."""
