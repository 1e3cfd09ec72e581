"""docker-compose.yml, checked as far as that goes without an engine to run it."""

import json
import os
import re
import shlex
import subprocess
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from shared.models.change import Lane
from shared.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OUR_SERVICES = {"api", "worker", "worker-gpu", "worker-fast"}
SETTINGS = {name.upper() for name in Settings.model_fields}
# Read by libraries rather than by us, hence no settings.
OF_LIBRARIES = {"HF_HOME"}


def procfile() -> dict[str, list[str]]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    entries = dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))
    return {name: shlex.split(command) for name, command in entries.items()}


def options(command: list[str]) -> dict[str, str]:
    """A command's long options, whether written `--name=value` or `--name value`."""
    text = " ".join(command)
    return dict(re.findall(r"--([a-z-]+)(?:[= ](?!-)(\S+))?", text))


def test_it_meets_the_compose_specification() -> None:
    schemas = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(schemas.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_services_are_the_processes_of_the_procfile_a_gpu_worker_and_the_proxy() -> None:
    assert set(SERVICES) == set(procfile()) | {"worker-gpu", "proxy"}


def test_the_proxy_reaches_the_api_alone() -> None:
    reached = {
        name
        for name, service in SERVICES.items()
        if "front" in service.get("networks", ()) and name != "proxy"
    }
    assert reached == {"api"}
    assert "servers" not in SERVICES["proxy"]["networks"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_started_anew_and_given_time_to_end(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_an_exact_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", image), image


def test_the_images_are_built_from_pinned_bases_as_a_plain_user() -> None:
    built = {SERVICES[name]["build"]["dockerfile"] for name in OUR_SERVICES}
    assert built == {"deploy/Dockerfile", "deploy/Dockerfile.cuda"}
    for path in built:
        lines = (ROOT / path).read_text().splitlines()
        bases = [line for line in lines if line.startswith("FROM ")]
        assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)
        assert "USER vitrine" in lines
        for line in lines:
            if line.startswith("COPY "):
                assert all((ROOT / part).exists() for part in line.split()[1:-1]), line


def test_qdrant_is_the_minor_version_that_the_client_speaks() -> None:
    requirement = re.search(
        r"^qdrant-client==(\d+\.\d+)\.", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    assert requirement is not None
    assert f":v{requirement[1]}." in SERVICES["qdrant"]["image"]


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_our_services_are_given_settings_that_exist(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert set(environment) <= SETTINGS | OF_LIBRARIES
    assert {"REDIS_URL", "REDIS_CACHE_URL", "QDRANT_URL", "QDRANT_API_KEY"} <= set(environment)


def test_the_settings_given_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in OUR_SERVICES:
        with monkeypatch.context() as context:
            for key, value in SERVICES[name]["environment"].items():
                context.setenv(key, value)
            Settings()


def test_urls_name_services_and_the_ports_they_listen_on() -> None:
    environment = SERVICES["api"]["environment"]
    assert environment["REDIS_URL"] == "redis://redis:6379/0"
    assert environment["REDIS_CACHE_URL"] == "redis://redis-cache:6379/0"
    assert environment["QDRANT_URL"] == "http://qdrant:6333"


def test_commands_are_those_of_the_procfile() -> None:
    wanted = procfile()
    assert SERVICES["api"]["command"] == wanted["api"]
    for name in ("worker", "worker-fast"):
        command = SERVICES[name]["command"]
        assert command[:4] == wanted[name][:4]
        assert options(command) == options(wanted[name])


def test_commands_name_programs_modules_and_lanes_that_exist() -> None:
    programs = {script.name for script in entry_points(group="console_scripts")}
    for name in OUR_SERVICES:
        command = SERVICES[name]["command"]
        assert command[0] in programs
        if command[0] == "celery":
            module = command[command.index("-A") + 1]
            assert (ROOT / (module.replace(".", "/") + ".py")).exists()
            assert set(options(command)["queues"].split(",")) <= {str(lane) for lane in Lane}
    configuration, application = SERVICES["api"]["command"][2:]
    assert (ROOT / configuration).exists()
    module, _, _ = application.partition(":")
    assert (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_the_ledger_keeps_everything_and_the_cache_nothing() -> None:
    ledger = options(SERVICES["redis"]["command"])
    assert (ledger["appendonly"], ledger["appendfsync"]) == ("yes", "always")
    assert ledger["maxmemory-policy"] == "noeviction"
    assert "redis:/data" in SERVICES["redis"]["volumes"]

    cache = options(SERVICES["redis-cache"]["command"])
    assert (cache["appendonly"], cache["maxmemory-policy"]) == ("no", "allkeys-lru")
    assert "volumes" not in SERVICES["redis-cache"]


def test_only_the_proxy_is_published_and_by_default_on_loopback() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy"}
    assert SERVICES["proxy"]["ports"] == ["${API_PUBLISH:-127.0.0.1:8000}:8000"]
    assert COMPOSE["networks"]["servers"]["internal"] is True
    for name in ("redis", "redis-cache", "qdrant"):
        assert SERVICES[name]["networks"] == ["servers"]


def test_it_does_not_start_without_its_secrets() -> None:
    key = "${QDRANT_API_KEY:?is missing - run make env first}"
    assert SERVICES["api"]["environment"]["QDRANT_API_KEY"] == key
    assert SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"] == key


def test_the_api_sees_changes_of_the_keys_file_that_make_writes() -> None:
    (mount,) = (one for one in SERVICES["api"]["volumes"] if isinstance(one, dict))
    # A file that is mounted by itself would stay the old one after a change.
    assert mount == {
        "type": "bind",
        "source": "./deploy",
        "target": "/run/vitrine",
        "read_only": True,
    }
    assert SERVICES["api"]["environment"]["API_KEYS_FILE"] == "/run/vitrine/api-keys"
    assert "--file deploy/api-keys" in (ROOT / "Makefile").read_text()


def test_the_keys_file_belongs_to_the_user_of_the_containers(tmp_path: Path) -> None:
    def shell(script: str, **environment: str) -> str:
        ran = subprocess.run(
            ["sh", ROOT / "deploy" / script],  # noqa: S607 - the shell, as make finds it
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout.strip()

    default = re.findall(r":-(\d+)\}", SERVICES["api"]["user"])
    assert shell("owner.sh") == ":".join(default)
    shell("write-env.sh")
    owner = shell("owner.sh")
    assert owner == (":".join(default) if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}")
    with (tmp_path / ".env").open("a") as file:
        file.write("VITRINE_UID=1234\nVITRINE_GID=1235\n")
    assert shell("owner.sh") == "1234:1235"
    assert shell("owner.sh", VITRINE_UID="77") == "77:1235"
    assert '--owner "$$(sh deploy/owner.sh)"' in (ROOT / "Makefile").read_text()


def test_a_user_that_the_images_do_not_know_has_a_name_and_a_home_on_a_volume() -> None:
    for path in ("deploy/Dockerfile", "deploy/Dockerfile.cuda"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        variables = dict(
            re.findall(r"([A-Z_]+)=(\S+)", " ".join(re.findall("^ENV .*", text, re.M)))
        )
        assert variables["USER"] == "vitrine"  # getpass.getuser(), as torch asks for it
        assert variables["HF_HOME"] == variables["HOME"] == "/models"
        assert "mkdir --mode 1777 /models" in text
    for name in OUR_SERVICES:
        assert "models:/models" in SERVICES[name]["volumes"]
        assert not {"HOME", "USER"} & set(SERVICES[name]["environment"])


def test_no_secret_can_get_into_an_image() -> None:
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert (ROOT / ".dockerignore").read_text().splitlines().count("*") == 1
    assert set(allowed) == {
        *("requirements.txt", "constraints.txt"),
        *("shared", "api", "worker", "stack", "operations"),
    }


def test_the_gpu_worker_is_asked_for_and_reserves_a_gpu() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["worker-gpu"]
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker-gpu"]["environment"]["CLIP_DEVICE"] == "cuda"
    assert options(SERVICES["worker-gpu"]["command"])["queues"] == "single,bulk"
