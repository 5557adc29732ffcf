"""Messages on disk: a journal, and segments of pages. Map: docs/storage.md; bytes: docs/storage-format.md."""
