"""The values of an AMI source's parameters: from ``--param``, from the environment, from their defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Location
from ..findings import Findings
from ..yamlfile import did_you_mean
from .model import Parameter
from .options import refuse_value

PREFIX = "AMI_PARAM_"
"""What the variable of a parameter begins with; its name in capitals follows."""

_RULE = "parameter"
_DIGITS = 18


@dataclass(frozen=True)
class Values:
    """Each parameter's value as text, by its name. Secrets are apart: they go to ``compile.sh`` and nowhere else."""

    public: dict[str, str] = field(default_factory=dict)
    secret: dict[str, str] = field(default_factory=dict)


def resolve(declared: Sequence[Parameter], given: Mapping[str, str], environ: Mapping[str, str], where: Path) -> Values:
    """The values of all parameters: ``given`` wins over ``environ``, which wins over the default.

    :param given: what ``--param NAME=VALUE`` says
    :param environ: the caller's environment, of which ``AMI_PARAM_<NAME>`` matters
    :param where: the file that declares them, for errors about those that it does not
    :raises InvalidSource: unknown, missing and impossible values, all at once
    """
    found = Findings()
    names = {parameter.name for parameter in declared}
    variables = {PREFIX + name.upper() for name in names}
    for name in sorted(set(given) - names):
        found.error(_RULE, f"--param {name}: there is no such parameter", Location(where), _closest(name, names))
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name not in variables):
        what = f"{variable} is set, and there is no such parameter"
        found.error(_RULE, what, Location(where), _closest(variable, variables))
    values = Values()
    for parameter in declared:
        value = _value(parameter, given, environ, found)
        if value is not None:
            (values.secret if parameter.kind == "secret" else values.public)[parameter.name] = value
    found.raise_errors()
    return values


def _closest(name: str, known: set[str]) -> str:
    if not known:
        return "The source declares no parameters"
    by_folded = {one.lower(): one for one in known}
    hint = did_you_mean(name.lower(), by_folded)
    return next((hint.replace(f"'{low}'", f"'{one}'") for low, one in by_folded.items() if f"'{low}'" in hint), hint)


def _value(parameter: Parameter, given: Mapping[str, str], environ: Mapping[str, str], found: Findings) -> str | None:
    name, variable = parameter.name, PREFIX + parameter.name.upper()
    secret = parameter.kind == "secret"
    if secret and name in given:
        what = f"the secret '{name}' was given by --param, where everybody on this machine can read it"
        found.error(_RULE, what, parameter.where, f"Set {variable} in the environment")
        return None
    value, origin = parameter.default, ""
    if name in given:
        value, origin = given[name], f"--param {name}: "
    elif variable in environ:
        value, origin = environ[variable], f"{variable}: "
    if value is None:
        how = f"Set {variable} in the environment" if secret else f"Give --param {name}=VALUE, or set {variable}"
        found.error(_RULE, f"parameter '{name}' has no value", parameter.where, how)
        return None
    if problem := _problem(parameter, value):
        found.error(_RULE, f"{origin}the value of '{name}' {problem}", parameter.where)
        return None
    return value


def _problem(parameter: Parameter, value: str) -> str:
    if parameter.kind == "secret" and not value:
        return "is empty"
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "is not UTF-8 text"
    if problem := refuse_value(parameter.kind, parameter.choices, value):
        return problem
    if parameter.kind == "integer" and len(value.lstrip("-")) > _DIGITS:
        return f"has more than {_DIGITS} digits"
    return ""
