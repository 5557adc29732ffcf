"""One connection as a state machine, sans-I/O: `Connection.feed(data, now_ms)` in, bytes in `Connection.out`."""
