"""Reading segment files from the front: what recovery finds, and what tools are shown.

`pieces` goes over a file block by block, whether they are sound or not. It reads heads and what was settled, and steps
over messages, so that a start reads a small part of what is stored; `bodies` has it read and verify these too.

`scan` is recovery: all files that the inventory lists, up to the sizes listed there. Every byte of that was on disk
when the inventory was written, so whatever is not sound is damage, and all of it is reported in one DamagedError.
`read_all` does the same for tools, which want to know what is sound besides.

Nothing here writes. Everything blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from amqpd import pageindex
from amqpd.broker.ports import Page
from amqpd.errors import DamagedError, MalformedError, StorageError
from amqpd.pageindex import PageIndex
from amqpd.ranges import Ranges
from amqpd.store import blocks, inventory
from amqpd.store.blocks import Block
from amqpd.store.cipher import PLAIN, Cipher
from amqpd.store.files import File, Files
from amqpd.store.format import SECTOR, SEGMENT, FileHeader, check_version, decode_header
from amqpd.store.pagefiles import PageFile, lock_of, messages_text

SUFFIX: Final = ".seg"

DAMAGED: Final = 0
"""The kind of a piece that is no sound block."""

_SMALL_READ: Final = 4 << 10
_LARGE_READ: Final = 256 << 10
_LARGEST_NAMES: Final = 16 << 20  # of a page that is looked for behind damage
_MOST_TRIED: Final = 256 << 20  # bytes of label and index that are read for such pages in one damaged place
_SHOWN: Final = 10  # damages in one text


class Piece:
    """A block, or damaged bytes, from `offset` on. `problem` is empty where all is well.

    `label` and `index` are a page's, empty where the key is missing; for damaged bytes they are what the bytes say.
    `payload` as it is stored: of a SETTLED block, and of a page where bodies were asked for.
    """

    __slots__ = ("identity", "index", "kind", "label", "length", "level", "offset", "payload", "problem")

    def __init__(self, kind: int, offset: int, length: int, problem: str = "") -> None:
        self.kind: Final = kind
        self.offset: Final = offset
        self.length: Final = length
        self.problem = problem
        self.identity = b""
        self.level = 0
        self.label = b""
        self.index = b""
        self.payload = b""

    def who(self) -> str:
        """Whose messages, as far as it is known."""
        if not self.label:
            return "messages of an unknown queue"
        try:
            index = pageindex.decode(self.index)
        except MalformedError:
            return f"messages of queue {self.label.decode('utf-8', 'replace')}"
        return messages_text(self.label, index.first, index.last)


class Window:
    """What was read of a file last. Reads little where blocks are far apart, more where they are neighbours."""

    def __init__(self, handle: File) -> None:
        self._handle: Final = handle
        self._data = b""
        self._start = 0
        self._ahead = _SMALL_READ

    def at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; fewer at the end of the file."""
        begin = offset - self._start
        if begin < 0 or begin + size > len(self._data):
            near = 0 <= begin <= len(self._data)
            self._ahead = min(2 * self._ahead, _LARGE_READ) if near else _SMALL_READ
            self._data = self._handle.read(offset, max(size, self._ahead))
            self._start = offset
            begin = 0
        return self._data[begin : begin + size]


def pieces(file: PageFile, handle: File, end: int, bodies: bool) -> Iterator[Piece]:
    """All that is in a file up to `end`, in order, without gaps. Raises StorageError where reading itself fails.

    Without `bodies` payloads of pages are neither read nor verified.
    """
    window = Window(handle)
    offset = SECTOR
    while offset < end:
        piece = _sound(file, window, offset, end)
        if piece is None:
            piece = _unsound(file, window, offset, end)
        elif piece.kind == blocks.SETTLED or (bodies and piece.kind == blocks.PAGE):
            _read_payload(file, handle, piece)
        yield piece
        offset += piece.length


def _sound(file: PageFile, window: Window, offset: int, end: int) -> Piece | None:
    """The block at `offset`; None where none is that has a sound head."""
    fixed = window.at(offset, blocks.HEAD_SIZE)
    if not blocks.plausible(fixed, 0):
        return None
    block = Block(fixed, 0, offset)
    sealed = file.header.key_id != PLAIN
    length = block.length(sealed)
    if block.kind not in (blocks.PAGE, blocks.SETTLED, blocks.VOID) or length > end - offset:
        return None
    names = window.at(offset, blocks.HEAD_SIZE + block.names_size(sealed))[blocks.HEAD_SIZE :]
    fixed = fixed[: blocks.HEAD_SIZE - 4]
    if blocks.head_crc(file.seed, offset, fixed, names) != block.crc:
        return None
    piece = Piece(block.kind, offset, length)
    if block.kind == blocks.PAGE:
        piece.identity = block.identity
        piece.level = block.level
        if not sealed or file.lock is not None:
            try:
                piece.label, piece.index = blocks.open_names(block, fixed, names, file.lock)
            except MalformedError as error:
                piece.problem = str(error)
    return piece


def _unsound(file: PageFile, window: Window, offset: int, end: int) -> Piece:
    """Damaged bytes, up to the next sound block. What they may have been is said as far as it can be read."""
    found = window.at(offset, blocks.HEAD_SIZE)
    label = index = b""
    if blocks.plausible(found, 0) and file.header.key_id == PLAIN:
        block = Block(found, 0, offset)
        if block.kind == blocks.PAGE and block.names_size(False) <= end - offset - blocks.HEAD_SIZE:
            names = window.at(offset, blocks.HEAD_SIZE + block.names_size(False))[blocks.HEAD_SIZE :]
            label, index = names[: block.label_size], names[block.label_size :]
    length = _next_sound(file, window, offset + 1, end) - offset
    piece = Piece(DAMAGED, offset, length, f"{length} bytes are no block that was written there")
    piece.label = label
    piece.index = index
    return piece


def _next_sound(file: PageFile, window: Window, offset: int, end: int) -> int:
    """Where the next block with a sound head begins, or `end`.

    Messages may be full of what looks like heads, so that no more than a certain number of bytes is tried.
    """
    tried = 0
    while offset < end:
        data = window.at(offset, min(_LARGE_READ, end - offset))
        at = data.find(blocks.MAGIC)
        while at >= 0 and at + blocks.HEAD_SIZE <= len(data):
            if blocks.plausible(data, at):
                block = Block(data, at, offset + at)
                size = block.label_size + block.index_size
                if size <= _LARGEST_NAMES and block.payload_size < end:
                    if _sound(file, window, offset + at, end) is not None:
                        return offset + at
                    tried += blocks.HEAD_SIZE + size
                    if tried > _MOST_TRIED:
                        return end
            at = data.find(blocks.MAGIC, at + 1)
        if len(data) < blocks.HEAD_SIZE or offset + len(data) >= end:
            return end
        offset += len(data) - blocks.HEAD_SIZE + 1
    return end


def _read_payload(file: PageFile, handle: File, piece: Piece) -> None:
    head = handle.read(piece.offset, blocks.HEAD_SIZE)
    block = Block(head, 0, piece.offset)
    piece.payload = handle.read(piece.offset + piece.length - block.payload_size, block.payload_size)
    lock = file.lock if piece.kind == blocks.PAGE else None
    try:
        blocks.open_payload(block, piece.payload, lock)
    except MalformedError as error:
        piece.problem = str(error)


# -- recovery


class RecoveredPage:
    """A page with messages that are alive, and whose it is. `page.settled`: what is settled, as far as that is said."""

    __slots__ = ("identity", "index", "label", "level", "page")

    def __init__(self, identity: bytes, level: int, label: bytes, page: Page, index: PageIndex) -> None:
        self.identity: Final = identity
        self.level: Final = level
        self.label: Final = label
        self.page: Final = page
        self.index: Final = index

    def count_live(self) -> None:
        """Set what is alive, after a change of what is settled."""
        page = self.page
        index = self.index
        settled = page.settled
        if settled is None:
            page.live = index.persistent_count
        elif index.consecutive and index.persistent_count == index.count:
            page.live = index.count - settled.count_between(index.first, index.last)
        else:
            page.live = 0
            for place, position in enumerate(index.positions()):
                if index.persistent_at(place) and position not in settled:
                    page.live += 1


class ScannedFile:
    """A file that is in use. `unsaid` is what `PageFile` means by it."""

    def __init__(self, file: PageFile, size: int) -> None:
        self.name: Final = file.name
        self.header: Final = file.header
        self.size: Final = size
        self.found: Final[dict[int, RecoveredPage]] = {}  # by offset
        self.unsaid: Final[dict[int, Ranges | None]] = {}


class Problem:
    """`length` damaged bytes at `offset` of file `number`. Of a file that is missing, or has no header, both are 0."""

    def __init__(self, number: int, path: str, offset: int, length: int, text: str, piece: Piece | None = None) -> None:
        self.number: Final = number
        self.path: Final = path
        self.offset: Final = offset
        self.length: Final = length
        self.text: Final = text
        self.piece: Final = piece

    def __str__(self) -> str:
        return f"{self.path} {self.text}" if self.piece is None else f"{self.path}: {self.text}"


class Found:
    """What is in segments. `pages` are those with messages that are alive; `highest` and `labels` are of all pages."""

    def __init__(self) -> None:
        self.files: Final[list[ScannedFile]] = []
        self.pages: Final[list[RecoveredPage]] = []
        self.highest: Final[dict[tuple[bytes, int], int]] = {}
        self.labels: Final[dict[tuple[bytes, int], bytes]] = {}
        self.problems: Final[list[Problem]] = []


def scan(files: Files, node_id: bytes, cipher: Cipher | None) -> Found:
    """Everything that was committed. Raises DamagedError, KeyMissingError, VersionError, StorageError."""
    listed = inventory.load(files)
    if listed is None:
        raise DamagedError(
            f"{files.path}/{inventory.NAME} is missing: it says which segment files are in use; without it nobody "
            "knows whether any are missing"
        )
    if listed[0] != node_id:
        raise StorageError(f"{files.path} belongs to another node than the rest of the directory: put back its own")
    found = read_all(files, node_id, cipher, listed[1], False)
    if found.problems:
        more = len(found.problems) - _SHOWN
        shown = "; ".join(str(problem) for problem in found.problems[:_SHOWN])
        raise DamagedError(shown + (f"; and {more} more" if more > 0 else ""))
    return found


def read_all(files: Files, node_id: bytes, cipher: Cipher | None, listed: dict[int, int], bodies: bool) -> Found:
    """What is in the files `listed`, up to these sizes, and `problems`: what is damaged. With `bodies` reads messages.

    Raises KeyMissingError, VersionError, StorageError.
    """
    found = Found()
    names = set(files.names())
    for number, size in sorted(listed.items()):
        name = name_of(number)
        if name not in names:
            text = "is missing, with messages of unknown queues"
            found.problems.append(Problem(number, f"{files.path}/{name}", 0, 0, text))
            continue
        handle = files.open(name, writable=False)
        try:
            _scan_file(found, handle, name, number, node_id, size, cipher, bodies)
        finally:
            handle.close()
    _settle_old_copies(found)
    for scanned in found.files:
        for recovered in scanned.found.values():
            recovered.count_live()
            if recovered.page.live:
                found.pages.append(recovered)
    return found


def name_of(number: int) -> str:
    """What a segment file is called."""
    return f"{number:020}{SUFFIX}"


def open_header(handle: File, number: int, node_id: bytes) -> FileHeader | None:
    """The header of the segment file with that number; None where it is not one. Raises VersionError."""
    header = decode_header(handle.read(0, SECTOR), SEGMENT)
    if header is None or header.number != number or header.node_id != node_id:
        return None
    check_version(header, handle.path)
    return header


def _scan_file(
    found: Found,
    handle: File,
    name: str,
    number: int,
    node_id: bytes,
    size: int,
    cipher: Cipher | None,
    bodies: bool,
) -> None:
    header = open_header(handle, number, node_id)
    if header is None:
        text = "has no header of this file, and has messages of unknown queues"
        found.problems.append(Problem(number, handle.path, 0, 0, text))
        return
    file = PageFile(name, handle.path, header, lock_of(header, cipher, handle.path))
    there = handle.size()
    if there < size:
        text = f"was cut: it has {there} bytes, and had {size}"
        found.problems.append(Problem(number, handle.path, there, size - there, text))
    scanned = ScannedFile(file, size)
    for piece in pieces(file, handle, min(size, there), bodies):
        what = piece.problem or _note(found, scanned, piece)
        if what:
            text = f"damaged at offset {piece.offset}, {piece.who()}: {what}"
            found.problems.append(Problem(number, handle.path, piece.offset, piece.length, text, piece))
    found.files.append(scanned)


def _note(found: Found, scanned: ScannedFile, piece: Piece) -> str:
    """Add what a sound block says; returns what is wrong with that, if anything."""
    try:
        if piece.kind == blocks.PAGE:
            _note_page(found, scanned, piece)
        elif piece.kind == blocks.SETTLED:
            _note_settled(scanned, piece)
    except MalformedError as error:
        return str(error)
    return ""


def _note_page(found: Found, scanned: ScannedFile, piece: Piece) -> None:
    index = pageindex.decode(piece.index)
    page = Page(index.first, index.last, index.count, index.size, index.persistent_count)
    page.file = scanned.header.number
    page.offset = piece.offset
    page.length = piece.length
    page.earlier = True
    log = (piece.identity, piece.level)
    found.labels[log] = piece.label
    found.highest[log] = max(index.last, found.highest.get(log, 0))
    scanned.found[piece.offset] = RecoveredPage(piece.identity, piece.level, piece.label, page, index)


def _note_settled(scanned: ScannedFile, piece: Piece) -> None:
    for offset, ranges in blocks.parse_settled(piece.payload):
        recovered = scanned.found.get(offset)
        if recovered is None:
            continue  # it was given up
        page = recovered.page
        if ranges is None:
            del scanned.found[offset]
            continue
        if page.settled is None:
            page.settled = Ranges()
        for first, last in ranges:
            page.settled.add(first, last)


def _settle_old_copies(found: Found) -> None:
    """Where two pages of a log have the same messages, the newer one is their home, and the older one has them not."""
    logs: dict[tuple[bytes, int], list[tuple[ScannedFile, RecoveredPage]]] = {}
    for scanned in found.files:  # in the order in which pages were written
        for recovered in scanned.found.values():
            logs.setdefault((recovered.identity, recovered.level), []).append((scanned, recovered))
    for pages in logs.values():
        if _overlap([recovered.page for _scanned, recovered in pages]):
            _settle_older(pages)


def _overlap(pages: list[Page]) -> bool:
    pages.sort(key=_first_of)
    last = -1
    for page in pages:
        if page.first <= last:
            return True
        last = page.last
    return False


def _first_of(page: Page) -> int:
    return page.first


def _settle_older(pages: list[tuple[ScannedFile, RecoveredPage]]) -> None:
    newer = Ranges()
    for scanned, recovered in reversed(pages):
        index = recovered.index
        if newer.count_between(index.first, index.last):
            copies = Ranges()
            for position in index.positions():
                if position in newer:
                    copies.add(position, position)
            _settle_copies(scanned, recovered.page, copies)
        if index.consecutive:
            newer.add(index.first, index.last)
        else:
            for position in index.positions():
                newer.add(position, position)


def _settle_copies(scanned: ScannedFile, page: Page, copies: Ranges) -> None:
    if copies.firsts:
        if page.settled is None:
            page.settled = Ranges()
        page.settled.update(copies)
        scanned.unsaid[page.offset] = copies
