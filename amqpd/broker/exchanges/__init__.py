"""The exchange types, one file each or two, and their registry."""
