"""``%load_ext clipper_nb``: ``%%deploy``, ``%predict`` and ``%clipper``, each a call or two of the connection."""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from clipper_nb.cluster.handles import VersionHandle
from clipper_nb.connection import ClipperConnection
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import ApplicationNotFoundError, InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Prediction

if TYPE_CHECKING:
    from clipper_nb.panels.frame import Frame


@magics_class
class ClipperMagics(Magics):
    """Magics that use the notebook's connected ``ClipperConnection``, or the variable that ``--conn`` names."""

    shell: InteractiveShell

    @no_var_expand
    @magic_arguments()
    @argument("name", help="the model's name")
    @argument("-v", "--version", required=True, help="the new version: any text that is a Docker tag")
    @argument("-t", "--type", required=True, dest="input_type", help="ints, floats, doubles, bytes or strings")
    @argument("--link", metavar="APP", help="the application that sends its queries to the model from then on")
    @argument("--replicas", type=int, default=1, help="how many processes serve it (1)")
    @argument("--batch-size", type=int, default=-1, help="the most inputs at once; -1 adapts to the SLO")
    @argument("--packages", metavar="'A B'", default="", help="pip requirements of this version alone, in quotes")
    @argument("--system-packages", metavar="'A B'", default="", help="packages of Debian for its image, in quotes")
    @argument("--allow-large", action="store_true", help="let variables of more than 100 MB travel")
    @argument("--samples", metavar="EXPRESSION", help="inputs with the same answers here and in each replica: X[:5]")
    @argument("--no-isolate-errors", action="store_true", help="a batch that the function raises on fails as a whole")
    @argument("--hang-timeout", default="30", help="seconds at one batch until a replica is replaced (30), or none")
    @argument("--text-outputs", default="json", help="json: text that is JSON becomes JSON; text: it stays text (json)")
    @argument("--env", action="append", metavar="NAME", help="an environment variable: NAME, or NAME=value; repeatable")
    @argument("--files", metavar="'A B'", default="", help="files and folders that travel, in quotes")
    @argument("--setup", metavar="FUNCTION", help="a function to call in each replica before the model is loaded")
    @argument("--conn", help="the variable that holds the connection")
    @cell_magic
    def deploy(self, line: str, cell: str) -> VersionHandle:
        """Run the cell, and deploy the function that it defines last."""
        arguments = parse_argstring(self.deploy, line)
        conn = self._connection(arguments.conn)
        options: dict[str, Any] = {
            "num_replicas": arguments.replicas,
            "batch_size": arguments.batch_size,
            "isolate_errors": not arguments.no_isolate_errors,
            "hang_timeout_s": _hang_timeout_s(arguments.hang_timeout),
            "text_outputs": arguments.text_outputs,
            "environment_variables": _environment_variables(arguments.env or []),
            "files": shlex.split(_unquoted(arguments.files)),
            "allow_large": arguments.allow_large,
        }
        packages = shlex.split(_unquoted(arguments.packages)) or None
        system_packages = shlex.split(_unquoted(arguments.system_packages))
        new = conn.new_version(
            arguments.name, arguments.version, arguments.input_type, packages=packages,
            system_packages=system_packages, **options,
        )  # fmt: skip
        must_link = arguments.link is not None and _must_link(conn, arguments.link, arguments.name, new.input_type)
        func = self._run_and_find_function(cell)
        samples = None if arguments.samples is None else self._evaluate("--samples", _unquoted(arguments.samples))
        setup = None if arguments.setup is None else self._evaluate("--setup", arguments.setup)
        deploy_python_closure(
            conn, arguments.name, arguments.version, arguments.input_type, func, pkgs_to_install=packages,
            system_packages=system_packages, setup=setup, sample_inputs=samples, **options,
        )  # fmt: skip
        if must_link:
            conn.link_model_to_app(arguments.link, arguments.name)
        return conn.models[arguments.name][arguments.version]

    @no_var_expand
    @line_magic
    def predict(self, line: str) -> Prediction:
        """Query an application: ``%predict [--conn VARIABLE] APP INPUT``; INPUT is a Python expression."""
        words = line.split(maxsplit=2)
        variable = None
        if words[:1] == ["--conn"] and len(words) == 3:
            variable, words = words[1], words[2].split(maxsplit=1)
        else:
            words = line.split(maxsplit=1)
        if len(words) != 2 or words[0].startswith("-"):
            raise UsageError("usage: %predict [--conn VARIABLE] APP INPUT, for example: %predict digits X_test[0]")
        name, expression = words
        return self._connection(variable).predict(name, self._evaluate("INPUT", expression))

    @magic_arguments()
    @argument("--conn", help="the variable that holds the connection")
    @line_magic
    def clipper(self, line: str) -> Frame:
        """Show the dashboard: applications, models, metrics, a query to try, and events."""
        return self._connection(parse_argstring(self.clipper, line).conn).dashboard()

    def _evaluate(self, what: str, expression: str) -> Any:
        try:
            code = compile(expression, f"<{what}>", "eval")
        except SyntaxError as exc:
            raise UsageError(
                f"{what} must be a Python expression (text in quotes), not {expression}: {exc.msg}"
            ) from None
        return eval(code, self.shell.user_ns)

    def _connection(self, variable: str | None) -> ClipperConnection:
        names = self.shell.user_ns
        if variable is not None:
            if not isinstance(names.get(variable), ClipperConnection):
                raise UsageError(f"--conn {variable}: there is no ClipperConnection of that name in this notebook")
            return names[variable]  # type: ignore[no-any-return]
        found = {
            name: value
            for name, value in names.items()
            if isinstance(value, ClipperConnection) and value.connected and not name.startswith("_")
        }
        if not found:
            raise UsageError(
                "no variable of this notebook is a connected ClipperConnection: "
                "conn = ClipperConnection(LocalContainerManager()); conn.start_clipper()"
            )
        if len({id(value) for value in found.values()}) > 1:
            raise UsageError(f"several variables are connections: choose with --conn: {', '.join(sorted(found))}")
        return next(iter(found.values()))

    def _run_and_find_function(self, cell: str) -> Callable[[list[Any]], Any]:
        """Run the cell in the notebook, and return the function (or callable variable) that it defines last."""
        source = self.shell.transform_cell(cell)
        filename = self.shell.compile.cache(source, raw_code=cell)
        tree = ast.parse(source, filename)
        exec(compile(tree, filename, "exec"), self.shell.user_ns)
        for statement in reversed(tree.body):
            for name in reversed(_defined_names(statement)):
                value = self.shell.user_ns.get(name)
                if callable(value) and not isinstance(value, type):
                    return value  # type: ignore[no-any-return]
        raise UsageError("the cell defines no function: %%deploy deploys the last one that is defined at its top level")


def _hang_timeout_s(text: str) -> float | None:
    try:
        return None if text.lower() == "none" else float(text)
    except ValueError:
        raise UsageError(f"--hang-timeout must be a number of seconds, or none, not {text}") from None


def _must_link(conn: ClipperConnection, application_name: str, model_name: str, input_type: InputType) -> bool:
    """Return whether the application still has to be linked; raise, before anything runs, if it cannot be."""
    application = conn.records("%%deploy").get_application(application_name)
    if application is None:
        raise ApplicationNotFoundError(application_name, list(conn.apps))
    if application.input_type != input_type:
        raise InvalidRequestError(
            f"Application '{application_name}' takes {application.input_type} and the model {input_type}."
        )
    linked = application.linked_model
    if linked not in (None, model_name):
        raise InvalidRequestError(
            f"Application '{application_name}' is linked to model '{linked}'; unlink it first: "
            f"conn.apps[{application_name!r}].unlink()."
        )
    return linked is None


def _defined_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return []


def _environment_variables(chosen: Sequence[str]) -> dict[str, str]:
    """Return the values of ``NAME`` and ``NAME=value``."""
    values: dict[str, str] = {}
    for word in chosen:
        name, is_given, value = _unquoted(word).partition("=")
        if not is_given and name not in os.environ:
            raise UsageError(f"--env {name}: this notebook's environment has no such variable: give --env {name}=value")
        values[name] = value if is_given else os.environ[name]
    return values


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') and text[-1:] == text[:1] else text
