"""The command `vitrine`: a client of the API, installable without the service."""

__version__ = "0.1.0"
