"""One target under atheris, in the environment that `run` makes: atheris_target.py TARGET [libFuzzer's arguments]."""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["amqpd"]):
    from fuzz import targets

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    target = targets.TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
