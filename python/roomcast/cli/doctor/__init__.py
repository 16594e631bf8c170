"""``roomcast doctor``: what usually goes wrong between a client and its server, looked at step by step."""
