"""Discover the parts of an object class: `python run.py --config=configs/demo.py`.

Any key of the config can be set: `--config.train.steps=300`. Where the package is installed,
`python -m partdisc` is the same program.
"""

from partdisc import stopping

if __name__ == "__main__":
    stopping.heard(stopping.end)  # First: what follows takes a while.

import shlex
import sys

from absl import flags

from partdisc import __main__ as program

flags.adopt_module_key_flags(program)  # for --help, which lists those of this file

if __name__ == "__main__":
    program.start(f"python {shlex.quote(sys.argv[0])}")
