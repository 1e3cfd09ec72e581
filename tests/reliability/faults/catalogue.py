"""A shop's catalogue as it was accepted, held against what the API shows in the end."""

import hashlib
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
from PIL import Image

from tests.e2e.conftest import Shop
from tests.pictures import PictureServer
from tests.reliability.faults.table import Row
from tests.reliability.reference import merged

_INSISTING_SECONDS = 120.0
NDJSON = {"Content-Type": "application/x-ndjson"}


@dataclass
class Catalogue:
    """Changes sent by one client, one after the other, and what must have become of them.

    The order of acceptance decides, as in `reference.py`; here no two clients compete, so the end
    is what the last change of each product says. Every put has a picture of its own.
    """

    shop: Shop
    pictures: PictureServer
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The products that must be found in the end, as they were last accepted."""
    jobs: dict[str, int] = field(default_factory=dict)
    """How many items each job has."""
    puts: int = 0
    settled: dict[str, list[str]] = field(default_factory=dict)
    """The products of each job that is not known to have ended."""
    refusals: list[float] = field(default_factory=list)
    """Seconds until each 503."""

    @property
    def accepted(self) -> int:
        """Items that were answered with 202."""
        return sum(self.jobs.values())

    def product(self, product_id: str, **fields: Any) -> dict[str, Any]:
        """A product with a picture that no other one has."""
        self.puts += 1
        number = self.puts
        file = io.BytesIO()
        image = Image.new("RGB", (8, 8), (number % 251, number // 251 % 251, number % 7 * 30))
        image.paste("white", (0, 0, 4, 4))
        image.paste("black", (4, 4, 8, 8))
        image.save(file, "PNG")
        # Bytes behind the picture's end make its digest its own where colours repeat.
        data = file.getvalue() + self.shop.key.encode() + str(number).encode()
        url = self.pictures.add(f"/{self.shop.key}/{number}.png", data)
        return {"id": product_id, "name": f"Product {product_id}", "image_url": url, **fields}

    def sha256(self, product: Mapping[str, Any]) -> str:
        """Of the product's picture."""
        path = product["image_url"].removeprefix(self.pictures.url)
        return hashlib.sha256(self.pictures.files[path]).hexdigest()

    def put(self, *products: dict[str, Any]) -> str:
        """One call for all of them, in the lane that fits."""
        if len(products) == 1:
            answer = self.insist("POST", "/index-product", json=products[0])
        else:
            body = b"\n".join(json.dumps(product).encode() for product in products)
            answer = self.insist("POST", "/index-products", data=body, headers=NDJSON)
        for product in products:
            self.products[product["id"]] = product
        return self.accept(answer, [product["id"] for product in products])

    def patch(self, product_id: str, fields: Mapping[str, Any]) -> str:
        """Some fields of a product that has landed."""
        answer = self.insist("PATCH", f"/products/{product_id}", json=fields)
        self.products[product_id] = merged(self.products[product_id], fields)
        return self.accept(answer, [product_id])

    def delete(self, product_id: str) -> str:
        """A product's end."""
        answer = self.insist("DELETE", f"/products/{product_id}")
        self.products.pop(product_id, None)
        return self.accept(answer, [product_id])

    def insist(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Mapping[str, Any]:
        """Repeats the request under one Idempotency-Key until it is answered with 202.

        Until then nothing but a 503 that says when to come again is allowed.
        """
        url = f"{self.shop.stack.api_url}/api/v1{path}"
        sent = {
            **(headers or {}),
            "Idempotency-Key": uuid.uuid4().hex,
            "Authorization": f"Bearer {self.shop.key}",
        }
        deadline = time.monotonic() + _INSISTING_SECONDS
        while True:
            asked = time.monotonic()
            answer = requests.request(method, url, headers=sent, timeout=60, **options)
            if answer.status_code == HTTPStatus.ACCEPTED:
                body: Mapping[str, Any] = answer.json()
                return body
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
            assert int(answer.headers["Retry-After"]) >= 1
            self.refusals.append(time.monotonic() - asked)
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)

    def accept(self, answer: Mapping[str, Any], product_ids: Sequence[str]) -> str:
        """Notes what a 202 promised."""
        job_id: str = answer["job_id"]
        self.jobs[job_id] = len(product_ids)
        self.settled[job_id] = list(product_ids)
        return job_id

    def landed(self) -> list[str]:
        """Live products without a change under way."""
        for job_id in list(self.settled):
            if self.shop.call("GET", f"/jobs/{job_id}")["finished_at"]:
                del self.settled[job_id]
        moving = {product_id for ids in self.settled.values() for product_id in ids}
        return [product_id for product_id in self.products if product_id not in moving]

    def lands(self, seconds: float, name: str) -> float:
        """A put and a delete from now on, through every worker; seconds until both have landed."""
        began = time.monotonic()
        jobs = [self.put(self.product(name)), self.delete(f"not-{name}")]
        for job_id in jobs:
            job = self.shop.finished(job_id, seconds)
            assert job["state"] == "succeeded", job
        took = time.monotonic() - began
        assert took <= seconds, f"it took the workers {took:.1f} s"
        return took

    def check(self, row: Row, seconds: float, *, failed: int = 0) -> Counter[str]:
        """Every job ends, counts add up, and the API lists exactly what must be there.

        Returns how many items ended how. `failed`: how many of them must have failed.
        """
        row.accepted += self.accepted
        outcomes: Counter[str] = Counter()
        for job_id, received in self.jobs.items():
            counts = dict(self.shop.finished(job_id, seconds)["counts"])
            assert counts.pop("received") == received
            assert counts["pending"] == 0
            assert sum(counts.values()) == received
            outcomes.update(counts)
        listed = self.listed()
        names = Counter(product["id"] for product in listed)
        row.doubled += sum(times - 1 for times in names.values())
        row.lost += len(self.products.keys() - names.keys()) + abs(outcomes["failed"] - failed)
        found = {product["id"]: product for product in listed}
        assert found.keys() == self.products.keys()
        for product_id, product in self.products.items():
            seen = {name: found[product_id][name] for name in product}
            assert seen == product
        assert row.lost == row.doubled == 0, outcomes
        return outcomes

    def listed(self) -> list[Mapping[str, Any]]:
        """All products that the API lists, page by page."""
        cursor: str | None = ""
        listed: list[Mapping[str, Any]] = []
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = self.shop.call("GET", f"/products?limit=100{more}")
            listed += page["products"]
            cursor = page["next_cursor"]
        return listed
