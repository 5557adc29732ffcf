"""Directed scenarios, in the language of `play.py`: what other Raft engines got wrong, and what Raft's papers warn of.

Random search is bad at exactly these: each needs a few events in one order.
"""

from simulation.play import play
from simulation.upgrades import UPGRADES

__all__ = ["SCENARIOS", "play"]

SCENARIOS: dict[str, str] = {**UPGRADES}
# What the core does not do yet, by scenario, and why.
OPEN: dict[str, str] = {}

SCENARIOS["ra #508: a heartbeat or an empty append commits a tail that nobody has validated"] = """
    group 1 2 3
    disk 1 term 1 log 1
    disk 2 term 1 log 1 1 1          # 2 and 3 are of an older leader, and not committed
    disk 3 term 2 vote 3 log 1 2 2
    committed 1
    forge 3>2 append term=2 index=1 log_term=1 commit=3
    expect 2 commit=1
    complete 2 9
    forge 3>2 heartbeat term=2 commit=1
    expect 2 commit=1 last=3
"""

SCENARIOS["ra #516: a write that is done late vouches for entries of a later term"] = """
    group 1 2 3
    hold 2
    forge 1>2 append term=1 index=0 log_term=0 entries 1/1 2/1
    forge 3>2 append term=2 index=0 log_term=0 entries 1/2 2/2
    mark
    complete 2 1                     # the first write: entries of term 1
    expect no sent 2>3 ack rejected=0
    complete 2 9
    expect sent 2>3 ack index=2
"""

SCENARIOS["ra #516: a write that is done late vouches for nothing, even where the same entries are back"] = """
    group 1 2 3
    committed 1 1
    forge 1>2 append term=1 index=0 log_term=0 entries 1/1 2/1
    forge 3>2 append term=2 index=0 log_term=0 entries 1/2
    forge 1>2 append term=3 index=0 log_term=0 commit=2 entries 1/1 2/1
    complete 2 1
    expect 2 applied=0               # the second write will replace them on the disk
    complete 2 1
    expect 2 applied=0
    complete 2 1
    expect 2 applied=2
"""

SCENARIOS["ra #516: a write of this term vouches only for the entries that it found"] = """
    group 1 2 3
    committed 2 2
    forge 1>2 append term=1 index=0 log_term=0 entries 1/1 2/1
    forge 3>2 vote term=2 index=2 log_term=1 forced=1
    forge 3>2 append term=2 index=0 log_term=0 commit=2 entries 1/2 2/2
    complete 2 2                     # the entries of term 1, and the vote
    expect 2 applied=0
    complete 2 1
    expect 2 applied=2
"""

SCENARIOS["ra #637: after a truncation, what was durable before counts no more"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 1
    disk 2 term 1
    disk 3 term 1 log 1 1 1
    forge 1>3 append term=2 index=0 log_term=0 entries 1/2 # replaces three durable entries by one
    expect 3 last=1
    hold 3
    campaign 3
    complete 3 1                     # the truncation; the vote is not durable
    complete 3 9
    settle
    hold 3
    propose 3 a
    settle                           # both followers ack, the leader's own write is pending
    expect 3 role=leader
    crash 3
    restart 3
    expect 3 last=1
"""

SCENARIOS["ra #637: a leader that was truncated does not count what it has not written"] = """
    group 1 2 3 4 5 with pre_vote=off check_quorum=off
    disk 1 term 1 log 1 1 1 1
    hold 1
    forge 2>1 append term=2 index=0 log_term=0 entries 1/2 2/2
    campaign 1
    forge 3>1 vote-reply term=3
    complete 1 1
    forge 4>1 vote-reply term=3
    expect 1 role=candidate          # its own vote is not durable
    complete 1 1
    expect 1 role=leader term=3
    forge 3>1 ack term=3 index=3
    expect 1 commit=0
    forge 4>1 ack term=3 index=3     # with its own entry, which is not durable, that were a majority
    expect 1 commit=0
    crash 1
"""

SCENARIOS["ra ffe3016a: nothing is applied that is not durable here"] = """
    group 1 2 3
    elect 1
    hold 2
    propose 1 a
    settle
    tick 1
    settle                           # 2 knows that entry 2 is committed, and has not written it
    expect 1 commit=2 applied=2
    expect 2 applied=1 last=2
    crash 2
    restart 2
    expect 2 last=1
"""

SCENARIOS["ra 9dde234f: a change of leader does not leave a member waiting for a snapshot"] = """
    group 1 2 3
    elect 1
    cut 3
    propose 1 a
    propose 1 b
    settle
    snapshot 1
    snapshot 2
    heal
    hold 1>3 snapshot
    tick 1
    settle
    expect sent 1>3 snapshot
    hold 3>1 ack
    elect 2                          # 1's snapshot never arrives
    propose 2 c
    tick 2
    settle
    tick 2
    settle
    expect 3 applied=5
"""

SCENARIOS["ra #600, #609: a change of members that is overwritten was never in force"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    elect 1
    start 4
    cut 1
    change 1 auto add-learner 4
    expect 1 last=2 learners=
    elect 2
    propose 2 a
    settle
    heal
    tick 2
    settle
    expect 1 role=follower learners= voters=1,2,3 log=1,2,2
    change 2 auto add-learner 4
    expect accepted
    settle
    tick 2
    settle
    expect 1 learners=4
"""

SCENARIOS["ra #608: a pre-vote is no vote"] = """
    group 1 2 3 with check_quorum=off
    disk 1 term 1
    disk 2 term 1
    disk 3 term 1
    forge 3>1 pre-vote term=2
    complete 1 9
    expect sent 1>3 pre-vote-reply term=2 rejected=0
    expect 1 vote=0 term=1
    forge 2>1 vote term=1
    complete 1 9
    expect 1 vote=2
    forge 3>1 pre-vote term=2
    forge 3>1 vote term=1            # delayed: 3 lost that election
    complete 1 9
    expect 1 vote=2
"""

SCENARIOS["ra #111: a new term, a new vote"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 1 vote 2
    forge 3>1 vote term=2
    expect 1 vote=3 term=2
    complete 1 9
    expect sent 1>3 vote-reply term=2 rejected=0
    forge 2>1 heartbeat term=3
    expect 1 vote=0 term=3
"""

SCENARIOS["ra e6b07578, 114d1d37: who does not vote does not campaign"] = """
    group 1 2 learners 3
    elect 1
    mark
    tick 3 50
    campaign 3
    forge 1>3 timeout-now term=1
    complete 3 9
    expect 3 role=follower term=1
    expect no sent 3>1 pre-vote
    expect no sent 3>1 vote
"""

SCENARIOS["ra #641: a snapshot that is refused, lost or late does not block a member"] = """
    group 1 2 3
    elect 1
    cut 3
    propose 1 a
    propose 1 b
    settle
    snapshot 1
    heal
    hold 1>3 snapshot
    tick 1
    settle
    drop 1>3 snapshot
    free 1>3 snapshot
    delivered 1 3                    # it went out, and never arrived
    tick 1
    settle
    tick 1
    settle
    expect 3 applied=3
    propose 1 c
    settle
    expect 3 last=4
"""

SCENARIOS["rabbitmq #12366: a queue that was deleted and declared again is another group"] = """
    group 1 2 3
    disk 2 term 0
    forge 1>2 append term=5 index=0 log_term=0 group=older entries 1/5
    forge 3>2 vote term=9 index=7 log_term=8 forced=1 group=older
    expect 2 term=0 last=0 vote=0 dropped=2
    forge 1>2 append term=1 index=0 log_term=0 to=3 entries 1/1
    expect 2 term=0 last=0 dropped=3
"""

SCENARIOS["rabbitmq #15725: an empty disk does not come back under an old identity"] = """
    group 1 2 3
    elect 1
    propose 1 a
    settle
    save 3
    propose 1 b
    settle
    crash 3
    swap 3 empty
    restart 3
    expect 3 up=no
    crash 2
    save 2
    swap 2 stale                     # that is the very disk it had
    restart 2
    expect 2 up=yes
    settle
    propose 1 c
    settle
    expect answer ok
"""

SCENARIOS["rabbitmq #15725: a backup that is older than what was acknowledged is refused"] = """
    group 1 2 3
    elect 1
    settle
    save 3
    propose 1 b
    settle
    crash 3
    swap 3 stale
    restart 3
    expect 3 up=no
"""

SCENARIOS["rabbitmq #14675: a follower in another term is not sent the same for ever"] = """
    group 1 2 3
    committed 1
    disk 1 term 3 commit 1 log 1 3 3
    disk 2 term 3 commit 1 log 1 3 3
    disk 3 term 2 commit 1 log 1 2 2 2 2
    mark
    elect 1
    expect 3 log=1,3,3,4
    propose 1 a
    settle
    expect 3 log=1,3,3,4,4
"""

SCENARIOS["single-server change (Ongaro 2015): no change before an own entry is committed"] = """
    group 1 2 3 4 with pre_vote=off check_quorum=off
    elect 1
    start 5
    cut 1
    change 1 auto add-learner 5
    expect accepted
    hold 3>2 ack
    hold 4>2 ack
    elect 2
    change 2 implicit remove 1
    expect refused
    change 2 auto add-learner 5
    expect refused
    free 3>2 ack
    free 4>2 ack
    settle
    change 2 auto add-learner 5
    expect accepted
"""

SCENARIOS["single-server change: voters change through learning and a joint configuration only"] = """
    group 1 2 3
    elect 1
    start 4
    change 1 auto add-voter 4
    expect refused
    change 1 implicit add-voter 4
    expect refused
    change 1 auto remove 3
    expect refused
    change 1 auto add-learner 4
    expect accepted
    change 1 auto add-learner 5      # the first one is not applied
    expect refused
    settle
    hold 1>2 append
    change 1 explicit add-voter 4 remove 3
    change 1 auto add-learner 5
    expect refused
    free 1>2 append
    settle
    tick 1
    settle
    expect 1 voters=1,2,4 outgoing=1,2,3
    change 1 explicit
    settle
    expect 1 voters=1,2,4 outgoing=
"""

SCENARIOS["a joint configuration needs both of its majorities"] = """
    group 1 2 3
    elect 1
    start 4
    start 5
    change 1 auto add-learner 4
    settle
    change 1 auto add-learner 5
    settle
    change 1 explicit add-voter 4 add-voter 5 remove 2 remove 3
    settle
    expect 1 voters=1,4,5 outgoing=1,2,3
    cut 2
    cut 3
    propose 1 a
    settle
    expect 1 commit=4                # 1, 4 and 5 have it: the old half has not
    heal
    cut 4
    cut 5
    tick 1
    settle
    expect 1 commit=5                # 2 and 3 have it now, too; 4 and 5 had it before
    propose 1 b
    settle
    expect 1 commit=5                # 1, 2 and 3 have it: the new half has not
"""

SCENARIOS["a joint configuration elects by both of its majorities"] = """
    group 1 2 3 4 with pre_vote=off check_quorum=off
    elect 1
    change 1 explicit remove 3 remove 4
    settle
    tick 1
    settle
    expect 2 voters=1,2 outgoing=1,2,3,4
    cut 3
    cut 4
    campaign 2
    settle
    expect 2 role=candidate
"""

SCENARIOS["figure 8: an entry of an older term is not committed by counting"] = """
    group 1 2 3 4 5 with pre_vote=off check_quorum=off
    disk 1 term 2 log 1 2
    disk 2 term 2 log 1 2
    disk 3 term 3 log 1
    disk 4 term 3 log 1
    disk 5 term 3 log 1 3
    hold 1                           # its own first entry is never durable
    campaign 1
    complete 1 9
    forge 2>1 vote-reply term=3
    forge 3>1 vote-reply term=3
    expect 1 role=leader term=3
    complete 1 9
    forge 2>1 ack term=3 index=2
    forge 3>1 ack term=3 index=2     # the entry of term 2 is on a majority now
    expect 1 commit=0
"""

SCENARIOS["a leader steps down when it is removed, once that is committed"] = """
    group 1 2 3
    elect 1
    change 1 implicit remove 1
    expect 1 role=leader
    settle
    expect 1 role=follower voters=2,3 outgoing=
    tick 1 50
    campaign 1
    expect 1 role=follower
    elect 2
    propose 2 a
    settle
    expect 2 commit=5
"""

SCENARIOS["a removed leader leaves nobody behind who cannot know that it is gone"] = """
    group 1 2
    elect 2
    change 2 explicit remove 2
    settle
    expect 1 voters=1 outgoing=1,2
    change 2 explicit
    propose 2 a
    cut 2>1                          # 1 will not hear that the change is committed
    deliver 2>1 append
    drop 2>1 append
    settle
    expect 2 voters=1 role=follower
    heal
    settle
    tick 1 20
    campaign 1                       # 2's answer tells what is committed: now 1 is alone
    settle
    campaign 1
    settle
    expect 1 role=leader voters=1 outgoing=
"""

SCENARIOS["removed servers do not disrupt"] = """
    group 1 2 3
    elect 1
    change 1 implicit remove 3
    cut 3
    settle
    expect 1 voters=1,2 outgoing=
    heal
    tick 3 40
    campaign 3
    settle
    forge 3>2 vote term=9 index=9 log_term=9
    expect 1 role=leader term=1
    expect 2 term=1 lead=1
"""

SCENARIOS["a partial partition does not change leaders for ever"] = """
    group 1 2 3
    elect 1
    cut 1>3
    cut 3>1
    tick 3 40                        # 3 hears 2, and not the leader
    campaign 3
    settle
    expect 1 role=leader term=1
    expect 2 term=1
    propose 1 a
    settle
    expect answer ok
"""

SCENARIOS["a leader without a quorum steps down"] = """
    group 1 2 3
    elect 1
    cut 1
    tick 1 25
    expect 1 role=follower lead=0
    propose 1 a
    expect refused
"""

SCENARIOS["orders to hand over do not put off the check of the quorum"] = """
    group 1 2 3
    elect 1
    cut 1
    tick 1 6
    transfer 1 to 2
    tick 1 6                         # heard of since the last check
    transfer 1 to 3
    tick 1 6
    transfer 1 to 2
    tick 1 6
    expect 1 role=follower
"""

SCENARIOS["etcd #10998: a learner votes where the candidate knows it for a voter"] = """
    group 1 2 learners 3
    disk 3 term 1 log 1
    forge 1>3 vote term=2 index=5 log_term=1
    complete 3 9
    expect sent 3>1 vote-reply term=2 rejected=0
"""

SCENARIOS["etcd #10308: an answer that meets the log ends the waiting for a snapshot"] = """
    group 1 2 3
    elect 1
    cut 3
    propose 1 a
    propose 1 b
    settle
    snapshot 1 1
    heal
    hold 1>3 snapshot
    tick 1
    settle
    propose 1 c
    settle
    snapshot 1 2                     # entries from 3 on are there
    mark
    forge 3>1 ack term=1 index=2     # 3 has got that far in another way: behind what was tracked
    expect sent 1>3 append index=2
"""

SCENARIOS["etcd #14633: a window that is full stops, and a heartbeat's answer opens it"] = """
    group 1 2 with max_inflight_messages=2 max_message_bytes=1 max_inflight_bytes=1000
    elect 1
    hold 1>2 append
    mark
    propose 1 a
    propose 1 b
    propose 1 c
    propose 1 d
    expect sent 2 times 1>2 append entries=1
    drop 1>2 append
    drop 1>2 append
    hold 2>1 heartbeat-reply
    free 1>2 append
    settle
    expect 2 last=1
    free 2>1 heartbeat-reply
    tick 1
    settle
    tick 1
    settle
    expect 2 last=5
"""

SCENARIOS["etcd raft#31: a slow follower gets on with the log after a compaction"] = """
    group 1 2 3
    elect 1
    hold 1>3 append
    propose 1 a
    propose 1 b
    settle
    snapshot 1
    free 1>3 append
    settle
    expect 3 last=3 commit=3
    expect no sent 1>3 snapshot
"""

SCENARIOS["pysyncobj: an append that comes late does not cut off what followed"] = """
    group 1 2 3
    disk 2 term 1
    forge 1>2 append term=1 index=0 log_term=0 entries 1/1 2/1 3/1
    complete 2 9
    expect 2 last=3
    forge 1>2 append term=1 index=0 log_term=0 entries 1/1
    forge 1>2 append term=1 index=2 log_term=1
    expect 2 last=3
"""

SCENARIOS["pysyncobj: an answer of an older term counts for nothing"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 1 log 1 1 1
    campaign 1
    complete 1 9
    forge 2>1 vote-reply term=2
    expect 1 role=leader last=4
    hold 1
    complete 1 9
    forge 2>1 ack term=1 index=4
    expect 1 commit=0
"""

SCENARIOS["a vote of an older term counts for nothing"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 1
    campaign 1
    complete 1 9
    campaign 1
    complete 1 9
    forge 2>1 vote-reply term=2
    expect 1 role=candidate term=3
    forge 3>1 append term=2 index=0 log_term=0 entries 1/2
    expect 1 role=candidate last=0
"""

SCENARIOS["a candidate with a shorter log is refused"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 2 log 1 2 2
    forge 2>1 vote term=3 index=2 log_term=2
    complete 1 9
    expect sent 1>2 vote-reply rejected=1
    forge 3>1 vote term=3 index=9 log_term=1
    complete 1 9
    expect sent 1>3 vote-reply rejected=1
    expect no sent 1>3 vote-reply rejected=0
"""

SCENARIOS["nobody campaigns with a change that is committed and not applied"] = """
    group 1 2 3 with apply=late
    elect 1
    start 4
    apply 1
    apply 2
    change 1 auto add-learner 4
    settle
    tick 1
    settle
    expect 2 commit=2 applied=1
    tick 2 40
    campaign 2
    expect 2 role=follower
    apply 2
    campaign 2
    expect 2 role=pre-candidate
"""

SCENARIOS["a leader inherits a change, and takes no other before it is applied"] = """
    group 1 2 3 with apply=late
    elect 1
    start 4
    apply 1
    apply 2
    change 1 auto add-learner 4
    hold 2>1 ack
    hold 3>1 ack
    settle
    expect 2 last=2 commit=1
    crash 1
    elect 2
    expect 2 commit=3 applied=1
    change 2 auto add-learner 5
    expect refused
    apply 2
    change 2 auto add-learner 5
    expect accepted
"""

SCENARIOS["a snapshot that is behind is answered, not installed"] = """
    group 1 2 3
    elect 1
    cut 3
    propose 1 a
    propose 1 b
    settle
    snapshot 1
    heal
    tick 1
    settle
    tick 1
    settle
    expect 3 applied=3 commit=3
    propose 1 c
    settle
    tick 1
    settle
    expect 3 last=4 commit=4
    snapshot 3                       # now it cannot compare any more
    again 1>3 snapshot
    settle
    expect 3 last=4 commit=4
"""

SCENARIOS["a snapshot brings the members of its moment"] = """
    group 1 2 3
    elect 1
    start 4
    cut 4
    change 1 auto add-learner 4
    settle
    propose 1 a
    settle
    snapshot 1
    heal
    tick 1
    settle
    tick 1
    settle
    expect sent 1>4 snapshot
    expect 4 learners=4 applied=3
"""

SCENARIOS["a voter that is demoted is a learner when the joint configuration is left"] = """
    group 1 2 3
    elect 1
    change 1 implicit add-learner 3
    settle
    tick 1
    settle
    expect 1 voters=1,2 outgoing= learners=3
    expect 3 voters=1,2 outgoing= learners=3
"""

SCENARIOS["proposals that nobody commits are bounded"] = """
    group 1 2 3 with max_uncommitted_bytes=40
    elect 1
    cut 1
    propose 1 aaaaaaaaaaaaaaaa
    expect accepted
    propose 1 bbbbbbbbbbbbbbbb
    expect refused
    heal
    tick 1
    settle
    propose 1 c
    expect accepted
"""

SCENARIOS["a damaged replica does not vote, lead or acknowledge"] = """
    group 1 2 3
    elect 1
    propose 1 a
    settle
    crash 3
    rot 3 2
    restart 3
    expect 3 damaged=yes
    mark
    propose 1 b
    tick 1
    settle
    expect no sent 3>1 ack
    tick 3 50
    campaign 3
    forge 2>3 vote term=9 index=9 log_term=9 forced=1
    settle
    expect 3 role=follower
    expect no sent 3>2 vote-reply
    expect 1 commit=3
"""

SCENARIOS["a vote survives a crash once it was told"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    disk 1 term 1
    forge 2>1 vote term=2
    expect no sent 1>2 vote-reply
    complete 1 9
    expect sent 1>2 vote-reply rejected=0
    crash 1
    restart 1
    forge 3>1 vote term=2
    complete 1 9
    expect 1 vote=2
    expect no sent 1>3 vote-reply rejected=0
"""

SCENARIOS["a read is not answered by a leader that is none any more"] = """
    group 1 2 3 with check_quorum=off
    elect 1
    propose 1 old
    settle
    cut 1
    elect 2
    propose 2 new
    settle
    expect 2 commit=4
    read 1                           # 1 still thinks that it leads
    expect accepted
    heal
    settle
    read 2
    settle
    expect answer new
"""

SCENARIOS["a new leader answers reads only once it knows what is committed"] = """
    group 1 2 3
    elect 1
    hold 2>1 ack
    hold 3>1 ack
    propose 1 a
    settle
    cut 1
    free 2>1 ack
    settle
    expect 1 commit=2
    hold 3>2 ack
    elect 2                          # 2 has entry 2, and does not know that it is committed
    read 2
    expect accepted
    tick 2
    settle
    free 3>2 ack
    settle
    tick 2
    settle
    expect answer a
"""

SCENARIOS["a candidate believes a voter only about entries that it has"] = """
    group 1 2 3 with pre_vote=off check_quorum=off
    committed 1 2
    disk 1 term 2 log 1 1
    disk 2 term 2 commit 2 log 1 2
    campaign 1
    complete 1 9
    deliver 1>2 vote
    complete 2 9
    deliver 2>1 vote-reply
    expect 1 commit=0 role=candidate
"""

SCENARIOS["a candidate hears also what a voter knows that is behind in terms"] = """
    group 1 2 3
    committed 1 1
    disk 1 term 3 log 1 1
    disk 2 term 1 commit 2 log 1 1 1 # longer, so it refuses; and it has not heard of terms 2 and 3
    campaign 1
    complete 1 9
    deliver 1>2 pre-vote
    complete 2 9
    expect sent 2>1 pre-vote-reply rejected=1 term=1
    deliver 2>1 pre-vote-reply
    expect 1 commit=2
"""

SCENARIOS["a refusal counts also from a member that has seen no term yet"] = """
    group 1 2 3
    disk 1 term 1
    campaign 1
    complete 1 9
    forge 2>1 pre-vote-reply term=0 rejected=1
    expect 1 role=pre-candidate
    forge 3>1 pre-vote-reply term=0 rejected=1
    expect 1 role=follower dropped=0
    forge 3>1 pre-vote-reply term=0  # but not an agreement
    expect 1 dropped=1
"""
