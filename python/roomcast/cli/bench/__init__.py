"""``roomcast bench``: many clients on one Socket.IO server, and how it bears them."""
