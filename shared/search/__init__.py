"""Answering searches: cache, encoder and index put together."""
