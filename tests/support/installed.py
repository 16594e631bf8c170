"""A plugin of pytest: every packet that python-socketio makes is roomcast's, as `roomcast.compat.install` makes them."""

from roomcast import compat

compat.install()
