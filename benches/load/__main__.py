"""Put one kind of load on servers beside their peers: python benches/load polling, or without a name for all of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import main
from client import CLIENT
from cluster import CLUSTER
from growth import GROWTH
from idle import IDLE
from passing import PASSING
from polling import POLLING
from serializer import SERIALIZER
from stalled import STALLED
from websockets import WEBSOCKETS

main([POLLING, IDLE, WEBSOCKETS, GROWTH, STALLED, CLIENT, SERIALIZER, CLUSTER, PASSING])
