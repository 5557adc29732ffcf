"""Settings in environment variables: AMQPD_NAME for every setting, and a few of RabbitMQ's that container images set.

Where both are there, AMQPD_NAME wins. RabbitMQ's are taken as unset where they are empty, as RabbitMQ does. Variables
that only begin like ours are no mistake: container platforms make such names themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from amqpd.config.reading import Reading, nearest
from amqpd.config.table import SETTINGS

CONFIG: Final = "AMQPD_CONFIG"
_PREFIX: Final = "AMQPD_"
_LIKENESS: Final = 0.85  # of a variable's name to a setting's, to be taken for a slip

# RabbitMQ's variables by the setting that they stand for (rabbitmq.com/docs/configure, "Environment Variables").
RABBITMQ: Final = {
    "default_user": "RABBITMQ_DEFAULT_USER",
    "default_pass": "RABBITMQ_DEFAULT_PASS",
    "default_vhost": "RABBITMQ_DEFAULT_VHOST",
    "node_name": "RABBITMQ_NODENAME",
}
_NODE_PORT: Final = "RABBITMQ_NODE_PORT"
_NODE_IP_ADDRESS: Final = "RABBITMQ_NODE_IP_ADDRESS"
_RABBITMQ_CONFIG_FILE: Final = "RABBITMQ_CONFIG_FILE"

# Those that would change what a client sees, and for which amqpd has nothing.
_WITHOUT_COUNTERPART: Final = {
    "RABBITMQ_ADVANCED_CONFIG_FILE": "amqpd does not read advanced.config",
    "RABBITMQ_CONFIG_FILES": "amqpd reads such a directory with --config DIR, or from AMQPD_CONFIG",
    "RABBITMQ_CONF_ENV_FILE": "amqpd reads variables from its environment only",
    "RABBITMQ_DEFAULT_PASS_FILE": "use default_pass = $(<FILE) in a file FILE.conf",
    "RABBITMQ_DEFAULT_USER_FILE": "use default_user = $(<FILE) in a file FILE.conf",
    "RABBITMQ_ENABLED_PLUGINS": "the setting plugins names amqpd's own",
    "RABBITMQ_LOG": "use AMQPD_LOG_LEVEL",
    "RABBITMQ_VM_MEMORY_HIGH_WATERMARK": "use AMQPD_VM_MEMORY_HIGH_WATERMARK",
}


def config_file(environment: Mapping[str, str]) -> Path | None:
    """The file or directory that the environment names, for when the command line does not."""
    if named := environment.get(CONFIG):
        return Path(named)
    named = environment.get(_RABBITMQ_CONFIG_FILE)
    if not named:
        return None
    path = Path(named)
    return path if path.suffix else path.with_suffix(".conf")  # RabbitMQ's rule


def variables_of(setting: str) -> list[str]:
    """RabbitMQ's variables for a setting, for the manual."""
    if setting == "listeners":
        return [_NODE_PORT, _NODE_IP_ADDRESS]
    return [variable for name, variable in RABBITMQ.items() if name == setting]


def read(environment: Mapping[str, str], reading: Reading) -> None:
    """Hand over what the variables say; mention those that look like ours and are not."""
    for name, variable in RABBITMQ.items():
        if text := environment.get(variable):
            reading.give(_place(variable), name, text)
    _read_listener(environment, reading)
    for name, setting in SETTINGS.items():
        if setting.variable in environment:
            reading.give(_place(setting.variable), name, environment[setting.variable])
    reading.warnings.extend(_suspicious(environment))


def _place(variable: str) -> str:
    return f"environment variable {variable}"


def _read_listener(environment: Mapping[str, str], reading: Reading) -> None:
    host, port = environment.get(_NODE_IP_ADDRESS, ""), environment.get(_NODE_PORT, "")
    if not host and not port:
        return
    variable = _NODE_PORT if port else _NODE_IP_ADDRESS
    host = host or "0.0.0.0"
    endpoint = f"[{host}]" if ":" in host else host
    reading.give(_place(variable), "listeners", [f"{endpoint}:{port or 5672}"])


def _suspicious(environment: Mapping[str, str]) -> list[str]:
    variables = [setting.variable for setting in SETTINGS.values()]
    found = [
        f"environment variable {variable} changes nothing: {advice}"
        for variable, advice in _WITHOUT_COUNTERPART.items()
        if environment.get(variable)
    ]
    for variable in sorted(environment):
        if variable.startswith(_PREFIX) and variable not in (CONFIG, *variables):
            if near := nearest(variable, variables, _LIKENESS):
                found.append(f"environment variable {variable} is no setting{near}")
    if environment.get(CONFIG) and environment.get(_RABBITMQ_CONFIG_FILE):
        found.append(f"environment variable {_RABBITMQ_CONFIG_FILE} changes nothing: {CONFIG} comes first")
    return found
