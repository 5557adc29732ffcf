"""Blocks: what is written is read back, and what is damaged is told from what is sound."""

from crash.disk import Disk
from hypothesis import given, settings
from hypothesis import strategies as st
from store.pagebench import NODE, Bench

from amqpd.ranges import Ranges
from amqpd.store import blocks
from amqpd.store.format import SECTOR, SEGMENT, FileHeader
from amqpd.store.pagefiles import PageFile
from amqpd.store.segmentscan import DAMAGED, pieces

RANGES = st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**20)), min_size=1, max_size=8)


def ranges_of(pairs):
    ranges = Ranges()
    for first, more in pairs:
        ranges.add(first, first + more)
    return ranges


@given(st.dictionaries(st.integers(0, 2**62), st.none() | RANGES, max_size=6), st.integers(0, 2**32 - 1))
def test_what_is_settled_is_read_back(settled, seed):
    given_ = {offset: None if pairs is None else ranges_of(pairs) for offset, pairs in settled.items()}
    data = blocks.settled_block(seed, 512, given_)
    block = blocks.Block(data, 0, 512)
    assert (block.kind, block.length(True)) == (blocks.SETTLED, len(data))
    found = dict(blocks.parse_settled(blocks.open_payload(block, data[blocks.HEAD_SIZE :], None)))
    wanted = {
        offset: None if ranges is None else list(zip(ranges.firsts, ranges.lasts, strict=True))
        for offset, ranges in given_.items()
    }
    assert found == wanted


class OneFile:
    """A segment file with pages, and what `pieces` says of it."""

    def __init__(self, bodies):
        self.bench = Bench()
        self.pages = [self.bench.write([place], queue=place + 1, body=body) for place, body in enumerate(bodies)]
        self.bench.sync()
        self.path = "segments/00000000000000000001.seg"
        self.file = next(iter(self.bench.pages.files.table.values()))
        self.end = self.file.size

    def pieces(self, bodies=True):
        handle = self.bench.files.open(self.file.name, False)
        found = list(pieces(self.file, handle, self.end, bodies))
        offset = SECTOR
        for piece in found:
            assert piece.offset == offset
            assert piece.length > 0
            offset += piece.length
        assert offset == self.end
        return found


BODIES = st.lists(st.binary(max_size=200) | st.just(blocks.MAGIC * 30), min_size=1, max_size=5)


@given(BODIES, st.data())
@settings(max_examples=60)
def test_one_flipped_bit_damages_one_block(bodies, data):
    one = OneFile(bodies)
    sound = one.pieces()
    assert [(piece.offset, piece.length, piece.problem) for piece in sound] == [
        (page.offset, page.length, "") for page in one.pages
    ]
    at = data.draw(st.integers(SECTOR, one.end - 1))
    one.bench.disk.flip(one.path, at, data.draw(st.integers(0, 7)))
    for before, after in zip(sound, one.pieces(), strict=True):
        assert (after.offset, after.length) == (before.offset, before.length)
        hit = before.offset <= at < before.offset + before.length
        assert bool(after.problem) == hit
        if not hit:
            assert (after.label, after.index, after.payload) == (before.label, before.index, before.payload)


@given(BODIES, st.data())
@settings(max_examples=30)
def test_what_was_given_up_is_stepped_over(bodies, data):
    one = OneFile(bodies)
    place = data.draw(st.integers(0, len(bodies) - 1))
    page = one.pages[place]
    one.bench.disk.flip(one.path, page.offset + 5)
    assert one.pieces()[place].kind == DAMAGED
    handle = one.bench.files.open(one.file.name)
    handle.write(page.offset, [blocks.void_head(one.file.seed, page.offset, page.length)])
    kinds = [piece.kind for piece in one.pieces()]
    assert kinds == [blocks.VOID if each == place else blocks.PAGE for each in range(len(bodies))]


def test_without_bodies_messages_are_neither_read_nor_verified():
    one = OneFile([bytes(100_000)] * 20)
    one.bench.disk.flip(one.path, one.pages[3].offset + 5000)
    assert [piece.problem for piece in one.pieces(bodies=False)] == [""] * 20
    assert [bool(piece.problem) for piece in one.pieces()] == [place == 3 for place in range(20)]


@given(st.binary(max_size=3000))
def test_garbage_is_damage_in_one_piece(data):
    disk = Disk()
    file = disk.files().create("garbage")
    file.write(SECTOR, [data])
    page_file = PageFile("garbage", "garbage", FileHeader(SEGMENT, NODE, 1), None)
    found = list(pieces(page_file, file, SECTOR + len(data), True))
    assert [piece.kind for piece in found] == ([DAMAGED] if data else [])
