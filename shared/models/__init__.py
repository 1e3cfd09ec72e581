"""The domain: products, changes, jobs and searches. Pure data and rules, no I/O."""
