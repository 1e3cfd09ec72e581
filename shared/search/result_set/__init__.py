"""One result set for each query, and everything an answer tells of it. Pure."""
