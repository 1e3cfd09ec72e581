"""A small Qdrant server for one machine: this project's part of the REST API on `qdrant-edge`.

It owns one directory and listens on loopback. Clients can't tell it from a real Qdrant, but for an
operation it doesn't serve, which it answers with 501 and the operation's name. It compares every
vector (no HNSW graph), so its stated limit is 50,000 products.

Run it with `python -m stack.qdrant --port 6333 --data var/qdrant`.
"""
