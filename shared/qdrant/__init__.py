"""The vector database, in this project's words. Only this package knows `qdrant_client`."""
