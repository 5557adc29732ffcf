"""What can be chosen about the store."""

from __future__ import annotations

from typing import Final

from amqpd.store.cipher import Cipher

SMALLEST_FILE: Final = 4096


class StoreOptions:
    """Sizes in bytes. `spares` files are kept at hand, beside the next one; they are the reserve for a full disk."""

    def __init__(
        self,
        file_size: int = 64 << 20,
        size_max: int = 512 << 20,
        spares: int = 2,
        segment_size: int = 64 << 20,
        cipher: Cipher | None = None,
    ) -> None:
        """Raises ValueError for a `file_size` of less than 4096 or that is not a multiple of 512."""
        if file_size < SMALLEST_FILE or file_size % 512:
            raise ValueError(f"file_size is {file_size}: multiples of 512 from {SMALLEST_FILE} are allowed")
        self.file_size: Final = file_size
        self.size_max: Final = size_max
        self.spares: Final = spares
        self.segment_size: Final = segment_size
        self.cipher: Final = cipher
