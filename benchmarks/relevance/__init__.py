"""Whether the search finds what it should: `python -m benchmarks.relevance`."""
