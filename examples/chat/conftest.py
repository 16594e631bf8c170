"""Load the fixtures of the test kit."""

pytest_plugins = ["roomcast.testing.pytest"]
