"""What tools/bench_raft.py measures is what it says; how quick that is, is no test's business."""

import pytest
from tooling import tool

bench = tool("bench_raft")


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("case", bench.CASES)
def test_a_call_replicates_the_batch_to_all_nodes(case, encoded, monkeypatch):
    clusters = []
    make = bench.Cluster
    monkeypatch.setattr(bench, "Cluster", lambda *args: clusters.append(make(*args)) or clusters[-1])
    _, entries, joined, messages = bench.CASES[case]
    work, between = bench.replication(16, entries, joined, encoded)
    for _ in range(3):
        work()
        between()
    for host in clusters[0].hosts.values():
        (replica,) = host.replicas.values()
        assert replica.applier.machine.commands == 3 * entries
        assert replica.log.first_index() == replica.group.applied + 1
    assert messages == (bench.BATCH if joined else entries)


def test_what_it_prints(monkeypatch, capsys):
    monkeypatch.setattr(bench, "IDLE_GROUPS", 2)
    monkeypatch.setattr(bench, "RUNS", 1)
    monkeypatch.setattr("sys.argv", ["bench_raft.py", "--seconds", "0", "--size", "16"])
    monkeypatch.setattr(bench.gc, "freeze", lambda: None)
    bench.main()
    printed = capsys.readouterr().out
    assert printed.startswith(f"amqpd.raft is {'compiled' if bench.compiled() else 'interpreted'}, Python 3.")
    assert all(name in printed for name, *_ in bench.CASES.values())
    assert "ready() of one" in printed
