"""A search with its pictures at hand. Pure."""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from shared.errors import QueryPictureFault
from shared.models.change import Aspect
from shared.models.search.filters import Filters
from shared.models.search.hits import QueryType
from shared.models.search.requests import Match, Ranking, SearchRequest, SimilarRequest, Sort


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A picture's file, and the field of the request that it came by."""

    field: Literal["image_url", "image_base64"]
    data: bytes
    sha256: str

    @classmethod
    def of(cls, field: Literal["image_url", "image_base64"], data: bytes) -> "QueryPicture":
        """The picture with its digest."""
        return cls(field, data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Query:
    """All that an answer depends on, but for the index itself."""

    ranking: Ranking
    query_type: QueryType
    text: str | None
    pictures: tuple[QueryPicture, ...]
    product_id: str | None
    leaves_out_group: bool
    """Whether the product and its group are no results."""
    match: Match = "auto"

    @classmethod
    def of_search(cls, request: SearchRequest, pictures: Sequence[QueryPicture]) -> "Query":
        """The query of a request, whose pictures have been fetched."""
        return cls(
            ranking=request,
            query_type=request.query_type,
            text=request.normalised_text(),
            pictures=tuple(pictures),
            product_id=request.product_id,
            leaves_out_group=False,
            match=request.match,
        )

    @classmethod
    def of_similar(cls, request: SimilarRequest) -> "Query":
        """A query for other products that look like one."""
        return cls(
            ranking=request,
            query_type="product",
            text=None,
            pictures=(),
            product_id=request.product_id,
            leaves_out_group=True,
        )

    @property
    def browses(self) -> bool:
        """Whether there is nothing to search by."""
        return self.query_type == "browse"

    @property
    def by_words(self) -> bool:
        """Whether products' texts are compared: with a text alone, which means what it says."""
        return self.query_type == "text" and self.match != "looks"

    @property
    def by_looks(self) -> bool:
        """Whether products' pictures are compared."""
        return not self.browses and self.match != "words"

    @property
    def sort(self) -> Sort:
        """The order of the results."""
        return self.ranking.sort or ("newest" if self.browses else "relevance")

    def own(self, fault: QueryPictureFault) -> QueryPictureFault:
        """The fault by the field of this query that has the picture: whoever asks the same at
        once shares a computation, and may have given the picture in another one.
        """
        fields = (each.field for each in self.pictures if each.sha256 == fault.sha256)
        return QueryPictureFault(next(fields, fault.field), fault.fault, fault.sha256)

    def found_by(self, filters: Filters) -> Set[Aspect]:
        """The parts of the index that decide which products the query means among those that meet
        these filters: not what the products show."""
        # All attributes of products are one aspect, whatever their names.
        of_filters = {Aspect(name.partition(".")[0]) for name in filters.filtered_on()}
        of_words = _WORDED if self.by_words else frozenset()
        return {Aspect.MEMBERSHIP, *of_words, *of_filters}

    def meaning(self, filters: Filters) -> Mapping[str, object]:
        """The same for all queries that mean the same products among those that meet these filters,
        however they were written.

        A picture counts by its content, not by where it came from.
        """
        ranking = self.ranking
        least = ranking.min_score
        return {
            "text": self.text,
            "pictures": sorted(picture.sha256 for picture in self.pictures),
            "product_id": self.product_id,
            "leaves_out_group": self.leaves_out_group,
            "match": self.match,
            "cutoff": ranking.cutoff if least is None else float(least),
            "filters": [condition.normalised() for condition in filters.conditions()],
        }

    def normalised(self) -> Mapping[str, object]:
        """The same for all queries that have the same answer, however they were written."""
        ranking = self.ranking
        return {
            **self.meaning(ranking),
            "top_k": ranking.top_k,
            "offset": ranking.offset,
            "sort": self.sort,
            "facets": sorted(ranking.facets),
            "group": ranking.group,
            "explain": ranking.explain,
        }


_WORDED = frozenset({Aspect.CATEGORY, Aspect.BRAND, Aspect.ATTRIBUTES, Aspect.SHOWN})
"""The parts of the index that hold words and codes."""
