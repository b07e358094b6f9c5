"""Puts RQ's keys beside ours; to be imported before RQ, which reads this once.

The environment is how RQ is told. Nothing else in it would be used, and what stands there already is another service's.
"""

import os

from jobs.db.scripts import RQ_PREFIX

os.environ["RQ_KEY_PREFIX"] = RQ_PREFIX
