"""Load the fixtures of the test kit, for the tests of this repository and of its examples; pytest has pytester for our plugin's own.

The tests of brokers and of the client have fixtures of theirs.
"""

pytest_plugins = [
    "roomcast.testing.pytest",
    "pytester",
    "support.broker_fixtures",
    "support.client_fixtures",
]
