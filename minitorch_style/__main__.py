"""python -m minitorch_style"""

import sys

from minitorch_style.cli import main

if __name__ == "__main__":
    sys.exit(main())
