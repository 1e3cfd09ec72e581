"""The demo's story, step by step: a catalogue is drawn, pushed, followed and searched."""

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from demo.catalogue import RED_SHIRT, CatalogueEntry, catalogue
from demo.client import Accepted, ApiFault, Searched, ShopClient
from demo.pictures import PictureServer
from demo.report import Report
from demo.showcase import Row, picture_of
from shared.wording import counted
from stack.run import Stack, StackError

_DRAWING_SIZE: Final = 256
"""Pixels; the model looks at 96 of them, people like to see more."""

_READY_SECONDS: Final = 180.0
"""Half a dozen processes import PyTorch at the same time; on two busy cores that takes a while."""

_INDEXING_SECONDS: Final = 180.0
"""Far more than a job takes: only one that stands still takes as long."""

RED_QUERY: Final[Mapping[str, Any]] = {"text_query": "red shirt", "top_k": 5}
QUERIES: Final[Sequence[Mapping[str, Any]]] = (
    RED_QUERY,
    {
        "text_query": "striped sweater",
        "top_k": 5,
        "category_filter": "clothing",
        "price_max": 60,
    },
    {"text_query": "t-shirt rouge", "top_k": 5},
    {"text_query": "écharpe bleue à pois", "top_k": 5},
)


class DemoFault(Exception):
    """A step failed; the logs of the processes in `logs` may tell why."""

    def __init__(self, message: str, logs: Sequence[str]) -> None:
        super().__init__(message)
        self.logs = logs


class Story:
    """The steps, in the order in which they are told. All but `draw` raise `DemoFault`."""

    def __init__(
        self,
        stack: Stack,
        client: ShopClient,
        pictures: PictureServer,
        report: Report,
        products: int,
    ) -> None:
        """`products`: how many the catalogue holds."""
        self._stack = stack
        self._client = client
        self._pictures = pictures
        self._report = report
        self._products = products
        self._entries: list[CatalogueEntry] = []
        self._searches: list[Searched] = []
        self.checks: dict[str, bool] = {}
        """The results that a good run shows, and whether this one did."""

    def draw(self) -> None:
        """Draws the catalogue and publishes its pictures; the stack gets ready meanwhile."""
        self._report.step(f"Draw {self._products} products while the service starts")
        self._entries = catalogue(self._products, self._pictures.base_url)
        with self._report.progress("drawn", self._products) as advance:
            for done, entry in enumerate(self._entries, 1):
                content = io.BytesIO()
                entry.picture(_DRAWING_SIZE).save(content, "PNG")
                self._pictures.publish(entry.file_name, content.getvalue())
                advance(done)
        self._report.note(f"pictures served at {self._pictures.base_url}/…")

    def wait_until_ready(self) -> None:
        """Returns once every part of the service works."""
        began = time.monotonic()
        try:
            self._stack.wait_until_ready(_READY_SECONDS)
        except StackError as err:
            raise DemoFault(str(err), self._down()) from err
        waited = time.monotonic() - began
        self._report.note(f"service ready at {self._stack.api_url} after another {waited:.1f} s")

    def index(self) -> None:
        """Pushes the catalogue and follows its job to the end."""
        self._report.step("Index them: POST /api/v1/index-products")
        try:
            accepted = self._client.index_products([entry.product for entry in self._entries])
            self._report.line(
                f"   202 Accepted after {accepted.wall_ms:.0f} ms: "
                f"{accepted.accepted} accepted, {len(accepted.rejected)} rejected"
            )
            indexed = self._follow(accepted)
            if indexed < accepted.accepted:
                for item in self._client.failed_items(accepted.job_id):
                    self._report.line(f"   {item['product_id']}: {item['code']} {item['message']}")
        except ApiFault as err:
            raise DemoFault(str(err), ["api", "worker"]) from err
        self.checks[f"all {self._products} products were indexed"] = indexed == self._products

    def search(self) -> None:
        """Searches by words, the first query once more from the cache."""
        self._report.step("Search")
        try:
            for query in (*QUERIES, RED_QUERY):
                self._searches.append(self._searched(query))
            if not self._searches[-1].cached:
                # The first search has a new catalogue's noise floor measured; answers of before it
                # are computed anew, once.
                self._searches[-1] = self._searched(RED_QUERY)
        except ApiFault as err:
            raise DemoFault(str(err), ["api", "qdrant"]) from err
        best = next(e.product["id"] for e in self._entries if e.shown == RED_SHIRT)
        first = [result["product_id"] for result in self._searches[0].results[:1]]
        self.checks['"red shirt" found the red shirt first'] = first == [best]
        self.checks["its repeat came from the cache"] = self._searches[-1].cached

    def _searched(self, query: Mapping[str, Any]) -> Searched:
        searched = self._client.search(query)
        self._report.search(searched)
        return searched

    def save_picture(self, path: Path) -> None:
        """Writes the answers just given as a picture (PNG)."""
        repeat = self._searches[-1]
        try:
            rows = [
                Row(
                    searched,
                    repeat if searched.request == repeat.request else None,
                    [self._client.picture(result["image_url"]) for result in searched.results],
                )
                for searched in self._searches[: len(QUERIES)]
            ]
        except ApiFault as err:
            raise DemoFault(str(err), []) from err
        path.parent.mkdir(parents=True, exist_ok=True)
        picture_of(rows, self._products).save(path, "PNG", optimize=True)
        self._report.note(f"these answers as a picture: {path}")

    def tell_checks(self) -> None:
        """What was to be shown, and whether it was."""
        self._report.step("Result")
        self._report.checks(self.checks)

    def stay(self) -> None:
        """Leaves the service to the user; returns only by a signal's exception."""
        url = self._stack.api_url
        self._report.step("Your turn: the service runs until Ctrl-C")
        for text in (
            f"   API documentation, to try every request: {url}/docs",
            "",
            "   For the tour of the README, in another terminal:",
            "",
            f"   export VITRINE={url}/api/v1 PICTURES={self._pictures.base_url}",
            "",
            '   curl "$VITRINE/search?q=sac+vert&top_k=3"',
            "",
            "   curl $VITRINE/search -H 'Content-Type: application/json' \\",
            """     -d '{"text_query": "checked trousers", "price_max": 60, "top_k": 3}'""",
        ):
            self._report.line(text)
        while True:
            time.sleep(1)
            try:
                self._stack.check()
            except StackError as err:
                raise DemoFault(str(err), self._down()) from err

    def _follow(self, accepted: Accepted) -> int:
        """How many products are indexed once the job has ended."""
        began = time.monotonic()
        with self._report.progress("indexed", accepted.accepted) as advance:
            while True:
                job = self._client.job(accepted.job_id, wait_seconds=1)
                counts = job["counts"]
                advance(counts["received"] - counts["pending"])
                if job["finished_at"] is not None:
                    break
                if time.monotonic() - began > _INDEXING_SECONDS:
                    pending = f"still pending: {counted(counts['pending'], 'product')}"
                    raise DemoFault(f"{pending} after {_INDEXING_SECONDS:.0f} s", ["worker", "api"])
        took = time.monotonic() - began
        indexed = int(counts["indexed"])
        self._report.line(
            f"   {job['state']}: {indexed} fetched, embedded and searchable in {took:.1f} s "
            f"({indexed / took:.0f}/s), {counts['failed']} failed"
        )
        return indexed

    def _down(self) -> list[str]:
        """The processes that don't run, or else those that most likely aren't ready."""
        down = [p["name"] for p in self._stack.processes() if p["statename"] != "RUNNING"]
        return down or ["api", "worker", "qdrant"]
