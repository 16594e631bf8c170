"""Load the fixtures of the test kit, for the tests of this repository and of its examples; pytest has pytester for our plugin's own."""

pytest_plugins = ["roomcast.testing.pytest", "pytester"]
