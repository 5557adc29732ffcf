"""`amqpctl`: ask a running node, over its control socket, and tell it what to do.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node runs there. Blocking and small: imports no trio.

    ctlbase           the node that is asked, options, printing
    ctllists          list
    ctlnode           status, alarm, trace, backup, config, stop, close-...
    ctlaccess         user, permission, topic-permission, user-limit
    ctltopology       vhost, vhost-limit, exchange, queue, binding
    ctlpolicies       policy, operator-policy, parameter, global-parameter
    ctldefinitions    definitions
    ctlaliases        rabbitmqctl's names for all that
"""

from __future__ import annotations

from amqpd.cli import ctlaccess, ctlaliases, ctldefinitions, ctlnode, ctlpolicies, ctltopology
from amqpd.cli.ctlbase import main

__all__ = ["ctlaccess", "ctlaliases", "ctldefinitions", "ctlnode", "ctlpolicies", "ctltopology", "main"]

# Each module has added its commands to `main`.
ctlaliases.add_same()
