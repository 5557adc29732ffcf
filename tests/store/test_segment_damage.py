"""Damage to segments is found, named, and never skipped; encryption hides what is stored, and notices changes."""

import pytest
from store.pagebench import NODE, Bench

from amqpd.errors import DamagedError, KeyMissingError, StorageError, VersionError
from amqpd.store import blocks, inventory
from amqpd.store.cipher import Cipher
from amqpd.store.format import SECTOR
from amqpd.store.pages import PageOptions

FILE = "segments/00000000000000000001.seg"


@pytest.fixture
def bench():
    bench = Bench()
    bench.first = bench.write([10, 11], queue=1, body=b"a" * 300)
    bench.second = bench.write([20, 21, 22], queue=2, body=b"b" * 300)
    bench.third = bench.write([30], queue=3, body=b"c" * 300)
    bench.sync()
    bench.pages.settle(bench.first, 10, 10, 1)
    bench.sync()
    return bench


def damaged(bench, *words):
    """What recovery says; and it has not changed anything."""
    disk = bench.disk.copy()
    before = disk.state()
    with pytest.raises(DamagedError) as raised:
        Bench(disk, new=False)
    assert disk.state() == before
    for word in words:
        assert word in str(raised.value)
    return str(raised.value)


def put(bench, offset, data, path=FILE):
    content = bench.disk.content(path)
    for there in (content.live, content.synced):
        there[offset : offset + len(data)] = data


def size_of(bench, path=FILE):
    return len(bench.disk.content(path).live)


def test_every_flipped_bit_in_a_head_is_found(bench):
    page = bench.second
    head = page.length - 3 * 312
    for offset in range(page.offset, page.offset + head, 3):
        disk = bench.disk
        bench.disk = disk.copy()
        bench.disk.flip(FILE, offset, 2)
        damaged(bench, f"disk/{FILE}", f"offset {page.offset}")
        bench.disk = disk


def test_the_queue_and_its_messages_are_named(bench):
    bench.disk.flip(FILE, bench.second.offset + 20)
    text = damaged(bench, "messages 20 to 22 of queue /q2")
    assert "q1" not in text
    assert "q3" not in text


def test_all_damages_are_named_up_to_a_limit():
    bench = Bench()
    pages = [bench.write([number], queue=number) for number in range(40)]
    bench.sync()
    for page in pages[::2]:
        bench.disk.flip(FILE, page.offset + 20)
    text = damaged(bench, "/q0", "/q2", "10 more")
    assert "/q38" not in text


def like_heads(count: int, index_size: int) -> bytes:
    """A body that looks like heads of pages with such an index."""
    head = b"PGBK" + bytes([blocks.PAGE, 0, 0, 0]) + index_size.to_bytes(4, "big") + bytes(8)
    return head.ljust(blocks.HEAD_SIZE, b"x") * count


def test_messages_that_look_like_pages_hide_none_behind_them():
    bench = Bench()
    bodies = (like_heads(1000, 5), b"x", like_heads(1000, 1 << 31), b"x")
    pages = [bench.write([number], queue=number, body=body) for number, body in enumerate(bodies)]
    bench.sync()
    for page in pages[::2]:
        bench.disk.flip(FILE, page.offset + 20)
    text = damaged(bench, f"offset {pages[0].offset}, messages 0 to 0 of queue /q0", f"offset {pages[2].offset}")
    assert "/q1" not in text
    assert "/q3" not in text


def test_messages_that_look_like_pages_do_not_take_for_ever():
    bench = Bench()
    page = bench.write([1], body=like_heads(100_000, 1 << 21))
    bench.sync()
    bench.disk.flip(FILE, page.offset + 20)
    damaged(bench, "/q1")


def test_names_of_others_are_left_alone(bench):
    strange = {"backup.seg", f"{'9' * 25}.seg", f"{10**20 - 1}.seg", "notes"}
    for name in strange:
        bench.files.create(name)
    again = bench.again()
    again.write([40])
    again.sync()
    assert strange < set(again.files.names())
    assert 40 in again.again().alive()[1, 0]


def test_a_settled_block_is_not_skipped(bench):
    bench.disk.flip(FILE, size_of(bench) - 3)
    damaged(bench, "checksum")


def test_a_file_that_was_cut(bench):
    size = size_of(bench)
    bench.disk.cut(FILE, size - 100)
    damaged(bench, f"{size - 100} bytes", f"{size}")


def test_a_file_that_is_missing(bench):
    bench.disk.lose(FILE)
    damaged(bench, "00000000000000000001.seg is missing")


def test_a_file_in_the_place_of_another():
    bench = Bench(options=PageOptions(size_max=1000))
    bench.write([1], body=bytes(600))
    bench.write([2], body=bytes(600))
    bench.sync()
    first, second = bench.files.names()[:2]
    put(bench, 0, bytes(bench.disk.content(f"segments/{second}").live), f"segments/{first}")
    damaged(bench, first)


def test_a_block_in_the_place_of_another():
    bench = Bench()
    one = bench.write([1])
    two = bench.write([2])
    bench.sync()
    data = bench.disk.content(FILE).live[two.offset : two.offset + two.length]
    put(bench, one.offset, data)
    damaged(bench, f"offset {one.offset}")


@pytest.mark.parametrize("how", ["missing", "flipped", "cut", "longer"])
def test_an_inventory_that_is_damaged(bench, how):
    path = "segments/inventory"
    if how == "missing":
        bench.disk.lose(path)
    elif how == "flipped":
        bench.disk.flip(path, SECTOR + 9)
    elif how == "cut":
        bench.disk.cut(path, size_of(bench, path) - 1)
    else:
        content = bench.disk.content(path)
        content.live += b"0"
        content.synced += b"0"
    damaged(bench, "disk/segments/inventory")


def test_segments_of_another_node(bench):
    bench.files.create("other").write(0, [inventory.encode(NODE[::-1], [])])
    bench.files.rename("other", "inventory")
    with pytest.raises(StorageError, match="another node"):
        bench.again()


def test_a_later_format_is_refused(bench):
    header = bytearray(bench.disk.content("segments/inventory").live[:SECTOR])
    header[8:12] = (9).to_bytes(4, "big")
    header[-4:] = blocks.zlib.crc32(bytes(header[:-4])).to_bytes(4, "big")
    put(bench, 0, header, "segments/inventory")
    with pytest.raises(VersionError):
        bench.again()


@pytest.mark.parametrize("at", [-1, -305, 0, 20, 50])
def test_a_page_that_was_damaged_at_rest_is_not_handed_out(bench, at):
    page = bench.second
    offset = page.offset + at if at >= 0 else page.offset + page.length + at
    bench.disk.flip(FILE, offset)
    with pytest.raises(DamagedError) as raised:
        bench.pages.read(page)
    text = str(raised.value)
    assert f"disk/{FILE}" in text
    assert f"offset {page.offset}" in text
    assert "messages 20 to 22" in text
    if at < 0:
        assert "queue /q2" in text
    bench.pages.fetch(page)
    with pytest.raises(DamagedError):
        bench.hand.run()


def test_a_damaged_page_is_not_moved():
    bench = Bench(options=PageOptions(dead_min=0))
    page = bench.write(range(50), body=bytes(50))
    bench.sync()
    other = bench.write(range(100, 150), body=bytes(50))
    bench.sync()
    for each in (page, other):
        bench.pages.settle(each, each.first, each.first + 40, 41)
    bench.disk.flip(FILE, other.offset + other.length - 5)
    bench.pages.tidy()
    with pytest.raises(DamagedError, match="messages 100 to 149 of queue /q1"):
        bench.hand.run()


# -- encryption


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"

    def write(*lines):
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o600)
        return str(path)

    return write


OLD = "01 " + "11" * 32
NEW = "02 " + "22" * 32


def test_nothing_of_a_message_or_its_queue_is_readable(keys):
    bench = Bench(cipher=Cipher(keys(OLD)))
    page = bench.write([1, 2], body=b"secret body")
    bench.sync()
    content = bytes(bench.disk.content(FILE).live)
    assert b"secret" not in content
    assert b"/q1" not in content
    assert bench.read(page) == [1, 2]
    again = bench.again(cipher=Cipher(keys(OLD)))
    assert again.alive() == {(1, 0): [1, 2]}
    assert again.found.labels[b"\1" * 16, 0] == b"/q1"


def test_a_key_changes_and_the_old_one_is_still_needed(keys):
    cipher = Cipher(keys(OLD))
    bench = Bench(cipher=cipher, options=PageOptions(size_max=1000))
    bench.write([1], body=bytes(600))
    keys(NEW, OLD)
    cipher.reload()
    bench.write([2], body=bytes(600))
    bench.sync()
    assert bench.again(cipher=Cipher(keys(NEW, OLD))).alive() == {(1, 0): [1, 2]}
    with pytest.raises(KeyMissingError, match="is encrypted with key 01"):
        bench.again(cipher=Cipher(keys(NEW)))
    with pytest.raises(KeyMissingError, match="no key file"):
        bench.again()


def test_encrypted_pages_are_compacted_and_plain_ones_stay_readable(keys):
    options = PageOptions(size_max=20_000, dead_min=0)
    plain = Bench(options=options)
    for at in range(0, 500, 100):
        plain.write(range(at, at + 100), body=bytes(100))
    plain.sync()
    bench = plain.again(options=options, cipher=Cipher(keys(OLD)))
    for each in bench.found.pages:
        bench.pages.settle(each.page, each.page.first, each.page.last - 1, 99)
    for _ in range(5):
        bench.pages.tidy()
        bench.sync()
    assert bench.pages.used < 10_000
    again = bench.again(cipher=Cipher(keys(OLD)))
    assert again.alive() == {(1, 0): [99, 199, 299, 399, 499]}


def test_another_key_under_the_same_id_is_damage_not_garbage(keys):
    bench = Bench(cipher=Cipher(keys(OLD)))
    bench.write([1])
    bench.sync()
    with pytest.raises(DamagedError, match="not sealed with this key"):
        bench.again(cipher=Cipher(keys("01 " + "33" * 32)))
