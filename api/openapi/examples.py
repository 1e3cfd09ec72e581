"""What /docs puts in for trying a request out. All of it is accepted as it stands.

The reading ones name the first product of the demo; the writing ones leave its picture alone.
"""

from typing import Any, Final

KNOWN_ID: Final = "prod_001"
NEW_ID: Final = "shirt-1"

PRODUCT: Final[dict[str, Any]] = {
    "id": NEW_ID,
    "name": "Red Shirt",
    "description": "Beautiful red cotton shirt",
    "image_url": "https://example.com/shirt.jpg",
    "category": "clothing",
    "price": 29.99,
    "attributes": {"color": "red", "size": "M", "material": "cotton", "stock": 15},
}
PRODUCTS: Final[dict[str, Any]] = {
    "products": [PRODUCT, {**PRODUCT, "id": "shirt-2", "name": "Blue Shirt", "price": 34.99}]
}
PATCH: Final[dict[str, Any]] = {"attributes": {"stock": 14}}

_RED_SHIRT: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwAQMAAABtzGvEAAAABlBMVEX////WKCi0LpysAAAAaElEQVR42r3N"
    "IQ7CQBQA0be/TSrbI/QoJFysR9ujFIdcgVix4SMIniAYM2aS4WcOB0otFUtbGtbMLmzMwk6YnJQSBS4RsFsz"
    "M3tsMEeDER16DGjxvsTzwf2MbIzKNfOGKfP0Sf6lL3gBL4EhcVFFAJAAAAAASUVORK5CYII="
)
"""A drawing of 48 × 48 dots, as PNG."""

SEARCHES: Final[dict[str, dict[str, Any]]] = {
    "words": {"value": {"text_query": "red shirt", "top_k": 10}},
    "picture": {"value": {"image_base64": _RED_SHIRT, "top_k": 10}},
    "product": {"value": {"product_id": KNOWN_ID, "top_k": 10}},
    "mix": {"value": {"product_id": KNOWN_ID, "text_query": "blue", "price_max": 50}},
}

LEFT_EMPTY: Final = [""]
"""Of a form's field: the page would put in a value of its own, such as `string` or 0."""
