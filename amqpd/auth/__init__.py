"""Who may log in, and what they may do.

    passwords       hashes
    accounts        users, permissions and limits: the tables
    rules           what is asked of new passwords
    first_user      what a new database begins with
    sasl            what the mechanisms say
    backends        the contract of backends, and their registry
    internal        the node's own backend
    chain           backends asked in turn
    failures        failed logins, and how they slow the next
    authenticator   all of it together, as connections know it
"""
