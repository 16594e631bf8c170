"""Validation of events by the annotations of their handlers, compiled when a handler is registered.

No event comes through here but those that are validated: what is registered is the handler itself, or a function that stands for it.
"""

from roomcast.validation.handlers import validated

__all__ = ["validated"]
