"""The command lines: `amqpd` starts a node, `amqpctl` talks to a running one."""
