"""pytest benchmarks/ -k images"""

from benchmarks import images


def test_images(versus, keep):
    keep("images", images.run(measure=versus))
