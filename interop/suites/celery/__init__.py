"""A Celery application as it is deployed: tasks in a module, worker processes started by the `celery` command."""
