"""The command line: `python -m experiments.run ACTION [STUDY] [NAME=VALUE ...]`."""

import importlib
import sys
import traceback

from experiments.commands import complete
from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.config.schema import LISTED
from experiments.errors import ComputeError, InputError, StoreError
from experiments.session.console import silence

ACTIONS = {
    "sweep": "run a study, or what is missing of it, and make its tables and figures",
    "plan": "run one block of every cell and show what a study or its target takes",
    "status": "show what is done, missing and failed in STUDY; works while it runs",
    "report": "make tables and figures of what is done in STUDY; works while it runs",
    "new": "write a model, its process, an experiment and a test, under a NAME",
    "rerun": "run one replication of STUDY again and show its fit",
    "reproduce": "run every kept study, or what is missing of them; --quick for a look",
    "verify": "run one small cell of every kept study again, and compare",
}

OPTIONS = {"reproduce": ("--quick",)}

_HELP = """\
Monte Carlo studies of semiparametric maximum likelihood.

  python -m experiments.run ACTION [STUDY] [NAME=VALUE ...]

Actions
{actions}
  -h, --help    show this text
  --cfg         show the composed study, in place of running it
  --traceback   show where in the code an error arose
  -sc           complete with the tab key, in bash:
                eval "$(python -m experiments.run -sc install=bash)"

Experiments: the default one, or experiment=NAME
{experiments}

Parts of a study, one or a list: dgp=NAME, grid=[NAME,NAME] ...
{groups}
Every setting is in conf/config.yaml and in the files of the parts.

Examples
  python -m experiments.run sweep
  python -m experiments.run sweep experiment=quick
  python -m experiments.run sweep study=mine dgp=linear_factor_normal \\
      sample_size=[250,1000] n_replications=1000
  python -m experiments.run sweep study=mine2 grid.uniform.low=-8 compute.n_workers=1
  python -m experiments.run plan study=mine target.coverage_mcse=0.005
  python -m experiments.run sweep study=mine n_replications=9600 shard=3/16
  python -m experiments.run status default
  python -m experiments.run rerun default sample_size=500 n_supp=25 replication=17
"""


def main(arguments: list[str]) -> int:
    """Run one action; return the exit code.

    Args:
        arguments: The words after `python -m experiments.run`.

    Returns:
        0 if all went well, 2 for input that can't be used, 1 for a folder or workers
        that can't be used or a fault of the program, 130 if the user stopped it.
    """
    show_traceback = "--traceback" in arguments
    arguments = [text for text in arguments if text != "--traceback"]
    try:
        conf_folder.check_conf()
        if not arguments or {"-h", "--help", "help"} & set(arguments):
            print(_write_help())
            return 0
        action, *rest = arguments
        if action == "-sc":
            return complete.main(rest, ACTIONS)
        if action not in ACTIONS:
            raise InputError(
                f"{action}: no such action.{cfg.suggest(action, ACTIONS)} "
                f"Actions: {', '.join(ACTIONS)}."
            )
        if "--cfg" in rest:
            settings = [x for x in rest if x not in ("--cfg", "job")]
            print(cfg.write_config(cfg.compose(settings)), end="")
            return 0
        for text in rest:
            if text.startswith("-") and text not in OPTIONS.get(action, ()):
                bare = text.lstrip("-")
                hint = f"write {bare}" if "=" in bare else "try --help"
                raise InputError(f"{text}: no such option; {hint}.")
        # Only the action that is asked for: most of them import JAX.
        return importlib.import_module(f"experiments.commands.{action}").main(rest)
    except (ComputeError, InputError, StoreError) as error:
        if show_traceback:
            traceback.print_exception(error)
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:
        silence(sys.stdout.fileno())  # nobody reads any more: no fault, no words
        return 0
    except OSError as error:
        if show_traceback:
            traceback.print_exception(error)
        print(
            f"error: {error.filename or 'a file'} can't be used: {error.strerror}. "
            "Look at results_dir, at who may use it, and at the space left.",
            file=sys.stderr,
        )
        return 1
    except Exception as error:  # noqa: BLE001 - shown, with the way to its place
        if show_traceback:
            traceback.print_exception(error)
        print(
            f"error: {type(error).__name__}: {error}\nThis is a fault in the program, "
            "or in code that you added: --traceback shows where. What is done is kept.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from there.", file=sys.stderr)
        return 130


def _write_help() -> str:
    experiments = {
        "(default)": conf_folder.first_comment(conf_folder.CONF / "config.yaml")
    }
    groups = "".join(
        f"  {group}\n{_columns(conf_folder.list_options(group), indent=4)}\n"
        for group in (*LISTED, "compute")
    )
    return _HELP.format(
        actions=_columns(ACTIONS),
        experiments=_columns(experiments | conf_folder.list_options("experiment")),
        groups=groups,
    )


def _columns(rows: dict[str, str], indent: int = 2) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{'':{indent}}{k:{width}}  {v}" for k, v in rows.items())


if __name__ == "__main__":
    from experiments import environment

    # Before an action imports JAX, which reads the environment then.
    environment.prepare()
    raise SystemExit(main(sys.argv[1:]))
