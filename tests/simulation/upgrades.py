"""Directed scenarios, in the language of `play.py`: versions of the machine, and the programs that can run them."""

UPGRADES: dict[str, str] = {}

UPGRADES["the machine's version is raised when every member can run it"] = """
    group 1 2 3
    build 1 2
    build 2 2
    build 3 1
    elect 1
    raise 1 1
    expect refused                   # nobody has told yet
    tick 1
    settle
    raise 1 2
    expect refused
    raise 1 1
    expect accepted
    settle
    tick 1
    settle
    expect 1 version=1
    expect 3 version=1
    raise 2 2
    expect refused                   # followers do not send that on
    crash 3
    build 3 2
    restart 3
    tick 1
    settle
    raise 1 2
    expect accepted
    settle
    tick 1
    settle
    expect 3 version=2
    elect 2                          # candidates tell what they can run
    propose 2 a
    settle
    expect answer ok
"""

UPGRADES["who cannot run the machine gets no vote"] = """
    group 1 2 3
    build 1 1
    build 2 1
    build 3 1
    elect 1
    tick 1
    settle
    raise 1 1
    settle
    tick 1
    settle
    expect 2 version=1
    forget 2
    mark
    forge 3>2 pre-vote term=4 index=9 log_term=3 version=0
    forge 3>2 vote term=5 index=9 log_term=3 version=0
    complete 2 9
    expect sent 2>3 pre-vote-reply rejected=1
    expect sent 2>3 vote-reply rejected=1
    crash 2
    restart 2                        # it applies its log again, up to where it knows that to be committed
    mark
    forge 3>2 vote term=6 index=9 log_term=3 version=0
    forge 3>2 vote term=7 index=9 log_term=3 version=1
    complete 2 9
    expect no sent 2>3 vote-reply rejected=0 term=6
    expect sent 2>3 vote-reply rejected=0 term=7
"""

UPGRADES["a program that is too old stops where it can go no further"] = """
    group 1 2 3
    build 1 1
    build 2 1
    build 3 1
    elect 1
    tick 1
    settle
    crash 3
    build 3 0                        # set back, when the leader had heard that it could
    raise 1 1
    expect accepted
    settle
    restart 3
    tick 1
    settle
    tick 1
    settle
    expect 3 up=no
    propose 1 a
    settle
    expect answer ok
    build 3 1
    restart 3
    tick 1
    settle
    tick 1
    settle
    expect 3 version=1 applied=3
"""

UPGRADES["a snapshot brings the version, and a program that is too old does not start on it"] = """
    group 1 2 3
    build 1 1
    build 2 1
    build 3 1
    elect 1
    tick 1
    settle
    cut 3
    raise 1 1
    settle
    tick 1
    settle
    snapshot 1
    heal
    tick 1
    settle
    tick 1
    settle
    expect 3 version=1
    crash 3
    build 3 0
    restart 3
    expect 3 up=no
    build 3 1
    restart 3
    expect 3 up=yes version=1
    forge 2>3 vote term=9 index=9 log_term=9 version=0 forced=1
    complete 3 9
    expect no sent 3>2 vote-reply rejected=0
"""
