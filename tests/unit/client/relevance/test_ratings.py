"""Rating files as people save them, and as they break them."""

import hashlib
from pathlib import Path

import pytest

from vitrine.faults import ExitCode, Fault
from vitrine.relevance.ratings import read_ratings

HEAD = "query,product_id,rating\n"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "ratings.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_ratings_are_read_by_query(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "red shirt,p1,3\nred shirt,p2,0\nbleu,p1,1.5\n")
    rated = read_ratings(path)
    assert rated.queries == {"red shirt": {"p1": 3, "p2": 0}, "bleu": {"p1": 1.5}}
    assert rated.count == 3
    assert rated.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + HEAD + "été,p1,3\n",
        HEAD.replace(",", ";") + "été;p1;3\n",
        HEAD.replace(",", "\t") + "été\tp1\t3\n",
        HEAD.replace("\n", "\r\n") + "été,p1,3\r\n",
        HEAD + '\n"été", p1 ,3\n\n,,\n',
        "Rating,note,Product_ID,QUERY\n3,by Ada,p1,été\n",
        HEAD + "été,p1,3\nété,p1,3.0\n",
    ],
    ids=["mark", "semicolons", "tabs", "CRLF", "blanks", "other order", "said twice"],
)
def test_each_usual_form_of_the_table_is_read(tmp_path: Path, content: str) -> None:
    assert read_ratings(written(tmp_path, content)).queries == {"été": {"p1": 3}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1: the column query is missing"),
        ("query,product\nshirt,p1\n", "line 1: the column product_id is missing"),
        (HEAD, "holds no ratings"),
        (HEAD + "shirt,p1\n", "line 2: 2 columns, but the head has 3"),
        (HEAD + "shirt,p1,3\nshirt,p2,good\n", "line 3: 'good' is no rating"),
        (HEAD + "shirt,p1,-1\n", "line 2: '-1' is no rating"),
        (HEAD + "shirt,p1,nan\n", "line 2: 'nan' is no rating"),
        (HEAD + "shirt,p1,inf\n", "line 2: 'inf' is no rating"),
        (HEAD + "shirt,p1,\n", "line 2: '' is no rating"),
        (HEAD + ",p1,3\n", "line 2: a query has 1 to 1000 characters"),
        (HEAD + "x" * 1001 + ",p1,3\n", "line 2: a query has 1 to 1000 characters"),
        (HEAD + "shirt,,3\n", "line 2: the product_id is empty"),
        (HEAD + "shirt,p1,3\nshirt,p1,2\n", "line 3: p1 is rated 3 before and 2 here"),
        (HEAD + '"shirt,p1,3\n', "this is no CSV"),
        (HEAD + '"' + "x" * 200_000 + '",p1,3\n', "this is no CSV"),
        (HEAD.encode() + "été,p1,3\n".encode("cp1252"), "is not UTF-8"),
        (HEAD.encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_can_not_be_used_is_named_with_its_line(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(Fault) as caught:
        read_ratings(written(tmp_path, content))
    assert reason in caught.value.message
    assert caught.value.code == ExitCode.DATA


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"nowhere\.csv can't be read"):
        read_ratings(tmp_path / "nowhere.csv")
