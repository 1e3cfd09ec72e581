"""Products for the embedded server, as for every Qdrant."""

from tests.integration.qdrant.conftest import make_point, tenant

__all__ = ["make_point", "tenant"]
