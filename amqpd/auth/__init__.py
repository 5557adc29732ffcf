"""Who may log in: users, password hashes, SASL mechanisms."""
