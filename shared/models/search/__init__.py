"""A search: its filters, its requests, its hits."""
