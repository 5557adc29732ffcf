"""Sockets: listeners, sessions, back-pressure, and the operator's control socket. The only room that touches them."""
