"""The cases, one module per subject; the runner imports them all."""
