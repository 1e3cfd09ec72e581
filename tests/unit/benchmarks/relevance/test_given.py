"""Catalogues that are given as files, in the form that the API takes."""

import gzip
import json
from pathlib import Path

from benchmarks.relevance.given import electronics, garments


def test_products_without_pictures_get_drawings_and_what_is_out_of_bounds_goes(
    tmp_path: Path,
) -> None:
    product = {"id": "1", "name": "Cable", "attributes": {"a": 1, "b" * 65: 2}, "mpn": "CA-1"}
    lines = [product, {**product, "id": "2", "mpn": "x" * 71}]
    with gzip.open(tmp_path / "products.ndjson.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "ratings.csv").write_text("query,product_id,rating\ncable,1,3\n")
    products, queries = electronics(tmp_path, "http://drawings")
    assert [one["image_url"].startswith("http://drawings/") for one in products] == [True, True]
    assert [one["attributes"] for one in products] == [{"a": 1}, {"a": 1}]
    assert [one.get("mpn") for one in products] == ["CA-1", None]
    assert queries == {"cable": {"1": 3}}


def test_file_names_become_addresses(tmp_path: Path) -> None:
    lines = [
        {"id": "1", "image": "a.jpg", "additional_images": ["b.jpg"]},
        {"id": "2", "image": "c"},
    ]
    (tmp_path / "products.ndjson").write_text("\n".join(map(json.dumps, lines)))
    assert garments(tmp_path, "http://photos") == [
        {
            "id": "1",
            "image_url": "http://photos/a.jpg",
            "additional_image_urls": ["http://photos/b.jpg"],
        },
        {"id": "2", "image_url": "http://photos/c", "additional_image_urls": []},
    ]
