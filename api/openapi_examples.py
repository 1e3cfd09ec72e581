"""Bodies that are accepted as they stand: what /docs puts in for trying a request out."""

from typing import Any, Final

PRODUCT: Final[dict[str, Any]] = {
    "id": "prod_001",
    "name": "Red Shirt",
    "description": "Beautiful red cotton shirt",
    "image_url": "https://example.com/shirt.jpg",
    "category": "clothing",
    "price": 29.99,
    "attributes": {"color": "red", "size": "M", "material": "cotton", "stock": 15},
}
PRODUCTS: Final[dict[str, Any]] = {
    "products": [PRODUCT, {**PRODUCT, "id": "prod_002", "name": "Blue Shirt", "price": 34.99}]
}
PATCH: Final[dict[str, Any]] = {"price": 24.99, "attributes": {"stock": 14}}
SEARCH: Final[dict[str, Any]] = {"text_query": "red shirt", "top_k": 10}
