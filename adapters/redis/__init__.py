"""Redis: counters that all workers share."""
