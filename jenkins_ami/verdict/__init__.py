"""How an instance says whether it succeeded, without anybody reaching it.

``markers`` is the protocol on the serial console, ``verdict.sh`` speaks it at the end of a build, ``image_tests`` uses
it to run a source's tests on a booted image. Pure: what runs here on the build host only makes and reads bytes.
"""
