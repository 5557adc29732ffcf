"""One module a revision. Each describes the schema as it was: none uses `metadata.schema`, and none is ever changed."""
