"""What is said of wrong settings, and of names that are none."""

from pathlib import Path

import pytest
import Stemmer

from shared.settings import SETTINGS_FAULT, Settings, read_settings, unknown_names


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("API_PORT", "abc", "must be a whole number"),
        ("API_PORT", "70000", "must be 65535 or less"),
        ("API_PORT", "0", "must be 1 or more"),
        ("API_THREADS", "1.5", "must be a whole number"),
        ("LEASE_SECONDS", "soon", "must be a number"),
        ("LEASE_SECONDS", "0", "must be more than 0"),
        ("CLIP_DEVICE", "tpu", "must be 'auto', 'cpu' or 'cuda'"),
        ("IMAGE_ALLOWED_NETWORKS", "10.1.2.3/16", "10.1.2.3/16 has host bits set"),
        (
            "RATE_LIMIT_WRITE",
            "lots",
            "must be like 600/minute, or several, as 50/second;100000/hour",
        ),
        ("REDIS_URL", "localhost:6379", "must be like redis://127.0.0.1:6379/0"),
        ("REDIS_CACHE_URL", "http://cache:6380", "must be like redis://127.0.0.1:6380/0"),
        ("QDRANT_URL", "localhost:6333", "must be like http://127.0.0.1:6333"),
        ("IMAGE_USER_AGENT", "a\r\nX: y", "must be like Shop/1.0, in printable ASCII"),
        ("IMAGE_USER_AGENT", "a\n", "must be like Shop/1.0, in printable ASCII"),
        ("IMAGE_USER_AGENT", "Größe", "must be like Shop/1.0, in printable ASCII"),
        ("IMAGE_REFERER", "https://a/\r\nX: y", "must be like origin, or https://shop.example/"),
        ("IMAGE_REFERER", "https://a/ b", "must be like origin, or https://shop.example/"),
        ("IMAGE_REFERER", "shop.example", "must be like origin, or https://shop.example/"),
        (
            "CORS_ORIGINS",
            "shop.example",
            "shop.example is no origin; write it as https://shop.example",
        ),
        (
            "CORS_ORIGINS",
            "https://shop.example/",
            "https://shop.example/ is no origin; write it as https://shop.example",
        ),
        ("METRICS_PORT", "x" * 200, "must be a whole number"),
        (
            "ATTRIBUTE_INDEXES",
            "color,rating:floaty",
            "rating:floaty has no type that is known (keyword, integer, float, bool), as in "
            "rating:float",
        ),
        (
            "SEARCH_LANGUAGES",
            "en,klingon",
            "klingon is no language that stems are known of; give codes such as en and fr, or "
            f"names: {', '.join(Stemmer.algorithms())}",
        ),
    ],
)
def test_a_wrong_value_is_told_in_one_line_and_ends_the_process(
    name: str,
    value: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        read_settings()
    assert ended.value.code == SETTINGS_FAULT
    shown = value if len(value) < 100 else f"{value[:100]}…"
    assert capsys.readouterr() == ("", f"vitrine: {name}={shown}: {said}\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "rediss://:secret@cache.example:6380/1"),
        ("REDIS_CACHE_URL", "unix:///run/valkey.sock"),
        ("QDRANT_URL", "https://qdrant.example/prefix"),
        ("CORS_ORIGINS", "https://shop.example, http://127.0.0.1:5173"),
        ("CORS_ORIGINS", ""),
    ],
)
def test_addresses_of_every_kind_are_taken(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert read_settings().as_environ()[name] == value.replace(" ", "")


def test_every_wrong_value_has_its_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").write_text("API_PORT=abc\nLOG_LEVEL=LOUD\nAPI_THREADS=8\n")
    monkeypatch.setenv("IMAGE_THREADS", "0")
    with pytest.raises(SystemExit):
        read_settings()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "vitrine: API_PORT",
        "vitrine: IMAGE_THREADS",
        "vitrine: LOG_LEVEL",
    ]


def test_an_env_file_that_is_no_text_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").write_bytes(b"API_PORT=\xff\n")
    with pytest.raises(SystemExit) as ended:
        read_settings()
    assert ended.value.code == SETTINGS_FAULT
    assert capsys.readouterr().err.startswith("vitrine: .env: can't be read")


def test_names_in_the_env_file_that_are_no_settings_are_warned_of(folder: Path) -> None:
    assert unknown_names() == []
    (folder / ".env").write_text(
        "SEARCH_CACHE_TLL=5\nVITRINE_UID=1000\nQDRANT_API_KEY=\napi_port=8000\n"
        "COMPOSE_PROJECT_NAME=shop\nNOTHING_LIKE_IT_AT_ALL=1\n"
    )
    assert unknown_names() == [
        ".env: SEARCH_CACHE_TLL is no setting of Vitrine; did you mean SEARCH_CACHE_TTL?",
        ".env: NOTHING_LIKE_IT_AT_ALL is no setting of Vitrine; .env.example lists all settings",
    ]


def test_the_ports_of_our_own_servers_are_read_from_their_urls() -> None:
    settings = Settings(
        redis_url="redis://:secret@[::1]:7001/0",
        redis_cache_url="unix:///run/redis.sock",
        broker_url="sentinel://a:7002;sentinel://b:7003/0",
        qdrant_url="https://qdrant.example:7004",
        api_port=7005,
        metrics_port=7006,
    )
    assert {7001, 7002, 7003, 7004, 7005, 7006} <= settings.own_ports
    assert not {80, 443} & Settings(api_port=80, qdrant_url="https://q:443").own_ports
