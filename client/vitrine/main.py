"""The command line: the client's commands, and in a checkout those of the service's operators."""

import importlib
import logging
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from vitrine import __version__
from vitrine.api import DEFAULT_URL, Api
from vitrine.commands.evaluate import evaluate
from vitrine.commands.jobs import jobs
from vitrine.commands.search import search
from vitrine.faults import ExitCode, Fault

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_OPERATORS_MODULE: Final = "operations.__main__"


class Commands(click.Group):
    """Ends with a line on stderr and an exit code, and knows the operators' commands if they are
    beside it."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **extra)
        except click.UsageError as err:
            _refuse(err)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Fault as fault:
            click.echo(f"vitrine: {fault.message}", err=True)
            ctx.exit(fault.code)
        except click.UsageError as err:
            _refuse(err)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        operators = None if own else _operators()
        if operators is None or cmd_name not in operators.commands:
            return own
        return _passed_on(cmd_name, operators)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        operators = _operators()
        if operators is None:
            return
        with formatter.section("Commands of operators, on the service's own servers"):
            formatter.write_dl(
                [(name, each.get_short_help_str()) for name, each in operators.commands.items()]
            )


def _refuse(err: click.UsageError) -> NoReturn:
    """Ends as click does, but with an exit code of ours: its own is 2."""
    err.show()
    sys.exit(ExitCode.USAGE)


@cache
def _operators() -> click.Group | None:
    """The operators' commands, if the client lies in the folder of the service."""
    if not (_CHECKOUT / "operations" / "__main__.py").is_file():
        return None
    sys.path.insert(0, str(_CHECKOUT))
    # Imported by its name, because the client is also installed where there is no such module.
    group: click.Group = importlib.import_module(_OPERATORS_MODULE).main
    return group


def _passed_on(name: str, operators: click.Group) -> click.Command:
    """A command that hands everything behind its name to the operators' one."""

    def run(arguments: Sequence[str]) -> None:
        if Path.cwd() != _CHECKOUT:
            # Settings (.env) and data (DATA_DIR) are looked for in the working directory.
            raise Fault(ExitCode.USAGE, f"`vitrine {name}` works in the folder {_CHECKOUT} only")
        operators.main([name, *arguments], prog_name="vitrine")

    return click.Command(
        name,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        callback=run,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )


@click.group(cls=Commands)
@click.version_option(__version__)
@click.option(
    "--url", envvar="VITRINE_URL", default=DEFAULT_URL, show_default=True, show_envvar=True,
    help="Address of the service.",
)  # fmt: skip
@click.option("--key", envvar="VITRINE_KEY", show_envvar=True, help="Key of the API.")
@click.pass_context
def main(ctx: click.Context, url: str, key: str | None) -> None:
    """Searches a running Vitrine, follows its jobs, and measures its relevance."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # else it tells of each retry
    if ctx.invoked_subcommand in main.commands:
        ctx.obj = ctx.with_resource(Api(url, key))


for command in (evaluate, jobs, search):
    main.add_command(command)
