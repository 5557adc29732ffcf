"""`python -m amqpd` is `amqpd`."""

from amqpd.cli.main import main

if __name__ == "__main__":
    main(prog_name="amqpd")
