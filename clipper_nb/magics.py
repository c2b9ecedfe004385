"""``%load_ext clipper_nb``: ``%%deploy``, ``%predict``, ``%clipper``, ``%clipper_traffic``: calls of the connection."""

from __future__ import annotations

import ast
import os
import shlex
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from clipper_nb.closures.estimators import is_estimator
from clipper_nb.cluster.canaries import Canary, check_canaries, give_shares, keeping_versions, parse_canaries
from clipper_nb.cluster.endpoints import EndpointHandle
from clipper_nb.cluster.handles import VersionHandle
from clipper_nb.connection import ClipperConnection
from clipper_nb.deployers.endpoint import check_endpoint, deploy_endpoint
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import ApplicationNotFoundError, InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Prediction
from clipper_nb.protocol.traffic import ApplicationTraffic

if TYPE_CHECKING:
    from clipper_nb.panels.frame import Frame


@magics_class
class ClipperMagics(Magics):
    """Magics that use the notebook's connected ``ClipperConnection``, or the variable that ``--conn`` names."""

    shell: InteractiveShell

    @no_var_expand
    @magic_arguments()
    @argument("name", help="the model's name")
    @argument(
        "-v", "--version", help="the new version: any text that is a Docker tag; the next free number if left out"
    )
    @argument("-t", "--type", required=True, dest="input_type", help="ints, floats, doubles, bytes, strings or json")
    @argument("--link", metavar="APP", help="the application that sends its queries to the model from then on")
    @argument(
        "--canary",
        action="append",
        metavar="APP=PERCENT",
        help="the new version gets so much of the application's queries, its other targets share the rest; repeatable",
    )
    @argument("--endpoint", action="store_true", help="make an application of the model's name too, if there is none")
    @argument(
        "--default-output", metavar="TEXT", help="with --endpoint: what it answers if there is no prediction (null)"
    )
    @argument("--slo-micros", type=int, help="with --endpoint: its SLO in microseconds (1000000)")
    @argument("--method", help="of an estimator that the cell makes: predict_proba or transform, in place of predict")
    @argument("--replicas", type=int, help="how many processes serve it (1, or as the autoscaled version before)")
    @argument("--batch-size", type=int, default=-1, help="the most inputs at once; -1 adapts to the SLO")
    @argument("--packages", metavar="'A B'", default="", help="pip requirements of this version alone, in quotes")
    @argument("--system-packages", metavar="'A B'", default="", help="packages of Debian for its image, in quotes")
    @argument("--allow-large", action="store_true", help="let variables of more than 100 MB travel")
    @argument("--samples", metavar="EXPRESSION", help="inputs with the same answers here and in each replica: X[:5]")
    @argument("--no-isolate-errors", action="store_true", help="a batch that the function raises on fails as a whole")
    @argument("--hang-timeout", default="30", help="seconds at one batch until a replica is replaced (30), or none")
    @argument("--text-outputs", help="json: text that is JSON becomes JSON; text: it stays text (json)")
    @argument("--env", action="append", metavar="NAME", help="an environment variable: NAME, or NAME=value; repeatable")
    @argument("--files", metavar="'A B'", default="", help="files and folders that travel, in quotes")
    @argument("--setup", metavar="FUNCTION", help="a function to call in each replica before the model is loaded")
    @argument("--conn", help="the variable that holds the connection")
    @cell_magic
    def deploy(self, line: str, cell: str) -> VersionHandle | EndpointHandle:
        """Run the cell, and deploy the function that it defines last, or without one its estimator."""
        arguments = parse_argstring(self.deploy, line)
        conn = self._connection(arguments.conn)
        options: dict[str, Any] = {
            "num_replicas": arguments.replicas,
            "batch_size": arguments.batch_size,
            "isolate_errors": not arguments.no_isolate_errors,
            "hang_timeout_s": _hang_timeout_s(arguments.hang_timeout),
            "environment_variables": _environment_variables(arguments.env or []),
            "files": shlex.split(_unquoted(arguments.files)),
            "allow_large": arguments.allow_large,
            "system_packages": shlex.split(_unquoted(arguments.system_packages)),
            **({} if arguments.text_outputs is None else {"text_outputs": arguments.text_outputs}),
        }
        packages = shlex.split(_unquoted(arguments.packages)) or None
        endpoint, canaries = _endpoint_options(arguments), _canaries(arguments)
        name, version, input_type = arguments.name, arguments.version, arguments.input_type
        if arguments.endpoint:
            new, _ = check_endpoint(conn, name, version, input_type, **endpoint, packages=packages, **options)
        else:
            new = conn.new_version(name, version, input_type, packages=packages, **options)
        must_link = arguments.link is not None and _must_link(conn, arguments.link, name, new.input_type)
        check_canaries(conn.records("%%deploy"), canaries, name, new.input_type)
        func = self._run_and_find_function(cell)
        samples = None if arguments.samples is None else self._evaluate("--samples", _unquoted(arguments.samples))
        setup = None if arguments.setup is None else self._evaluate("--setup", arguments.setup)

        def deploy(version: str | None) -> VersionHandle:
            return deploy_python_closure(
                conn, name, version, input_type, func, pkgs_to_install=packages, setup=setup,
                sample_inputs=samples, method=arguments.method, **options,
            )  # fmt: skip

        if arguments.endpoint:
            return deploy_endpoint(conn, name, version, input_type, deploy, **endpoint)
        with keeping_versions(conn, canaries, name):
            handle = deploy(version)
        give_shares(conn, canaries, f"{name}:{handle.version}")
        if must_link:
            conn.link_model_to_app(arguments.link, name)
        return handle

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

    @magic_arguments()
    @argument("app", nargs="?", help="the application to begin with")
    @argument("--conn", help="the variable that holds the connection")
    @line_magic
    def clipper_traffic(self, line: str) -> Frame | ApplicationTraffic:
        """Show how an application's queries are divided, and change it; in a terminal: print it."""
        arguments = parse_argstring(self.clipper_traffic, line)
        conn = self._connection(arguments.conn)
        if arguments.app is not None and not hasattr(self.shell, "kernel"):
            return conn.get_traffic(arguments.app)
        return conn.panels.traffic(arguments.app)

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
        """Run the cell in the notebook, and return what it defines last: a function, or else an estimator."""
        source = self.shell.transform_cell(cell)
        filename = self.shell.compile.cache(source, raw_code=cell)
        tree = ast.parse(source, filename)
        exec(compile(tree, filename, "exec"), self.shell.user_ns)
        names = [name for statement in tree.body for name in _defined_names(statement)]
        values = [self.shell.user_ns.get(name) for name in reversed(names)]
        for is_wanted in (_is_function, is_estimator):
            for value in filter(is_wanted, values):
                return value  # type: ignore[no-any-return]
        raise UsageError(
            "the cell defines no function, and no estimator: %%deploy deploys the last one that is defined at its top "
            "level"
        )


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, type)


def _endpoint_options(arguments: Namespace) -> dict[str, Any]:
    """Return how an application is made with the version; it may exist, since the cell may have run before."""
    given = {"default_output": arguments.default_output, "slo_micros": arguments.slo_micros}
    if not arguments.endpoint and any(value is not None for value in given.values()):
        raise UsageError("--default-output and --slo-micros are of the application that --endpoint makes")
    if arguments.endpoint and arguments.link is not None:
        raise UsageError("--endpoint makes an application of the model's name, and --link takes another: choose one")
    if given["default_output"] is not None:
        given["default_output"] = _unquoted(given["default_output"])
    return {**given, "may_exist": arguments.endpoint}


def _canaries(arguments: Namespace) -> list[Canary]:
    if arguments.canary and (arguments.link is not None or arguments.endpoint):
        raise UsageError("--canary gives the new version a share of what an application answers by now: leave out "
                         "--link and --endpoint, which send it all queries")  # fmt: skip
    return parse_canaries([_unquoted(text) for text in arguments.canary or ()])


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
    if application.traffic:
        raise InvalidRequestError(
            f"Application '{application_name}' has its traffic set: {application.routing}. Deploy without --link, and "
            f"give the version a share: --canary {application_name}=10, or conn.set_traffic({application_name!r}, ...)."
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
