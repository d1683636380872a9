import sys

from bench.latency import main

if __name__ == "__main__":
    sys.exit(main())
