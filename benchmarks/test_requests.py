"""pytest benchmarks/ -k requests"""

from benchmarks import requests


def test_requests(versus, keep):
    keep("requests", requests.run(measure=versus))
