"""TLS as the option ``ssl`` says."""

import ssl
from functools import cache

__all__ = ["context_of"]


def context_of(option: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the context for a connection over TLS; one for all clients that ask for the same."""
    return option if isinstance(option, ssl.SSLContext) else _context(option)


@cache
def _context(verified: bool) -> ssl.SSLContext:
    # Loading the authorities of the system takes milliseconds and a megabyte.
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
