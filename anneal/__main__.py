"""`python -m anneal` is the command `anneal`."""

import sys

from anneal.cli.main import main

sys.exit(main())
