"""What is done to a node's files from outside: check, dump, repair, backup, restore (docs/backup.md).

    directory     the files of a node, stopped or running, as tools see them
    damage        a place that is damaged, and whose messages that concerns
    journal       the journal, batch by batch
    definitions   the database, read without the node
    checking      reads everything and says what it found
    messages      one stored message, for people
    dumping       all records and messages, in order
    repair        cuts out what is damaged, after a copy was kept; `rewriting` does it for the journal
    copying       files into a backup, and its manifest
    backup        of a stopped node; `amqpd.server.backups` has the online one
    restore       a backup becomes a data directory

Everything blocks. No thread, no trio: a running node calls what it needs of this in a thread.
"""
