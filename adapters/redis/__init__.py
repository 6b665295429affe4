"""The driven side that lives in Redis: counters that all workers share."""
