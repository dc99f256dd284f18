"""pytest benchmarks/ -k serve"""

from benchmarks import serve


def test_serve(keep):
    keep("serve", serve.run())
