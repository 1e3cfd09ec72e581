"""Examples that /docs fills in. All of them work as they stand, if pictures can be fetched.

Those that read name the first product of the demo; those that write leave its picture alone.
"""

from typing import Any, Final

KNOWN_ID: Final = "prod_001"
NEW_ID: Final = "shirt-1"

PICTURES: Final = "https://images.unsplash.com"
"""Free to link to, and there for years. The page replaces them by those of the catalogue."""

PRODUCT: Final[dict[str, Any]] = {
    "id": NEW_ID,
    "name": "White T-Shirt",
    "description": "Heavy cotton, cut wide",
    "image_url": f"{PICTURES}/photo-1521572163474-6864f9cf17ab?w=600",
    "category": "clothing",
    "price": 29.99,
    "attributes": {"color": "white", "size": "M", "material": "cotton", "stock": 15},
}
_SHOE: Final[dict[str, Any]] = {
    "id": "shoe-1",
    "name": "Red Running Shoe",
    "image_url": f"{PICTURES}/photo-1542291026-7eec264c27ff?w=600",
    "category": "shoes",
    "price": 89.5,
}
PRODUCTS: Final[dict[str, Any]] = {"products": [PRODUCT, _SHOE]}
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
