"""How many pictures a night holds while it goes on."""

from math import ceil

from jobs.status.night import MOST_KEPT, Keep, kept_of

SPARE = 1.5
LEAST_HELD = 32


def held_of(made: int, keep: Keep, share_of_time: float) -> int:
    """How many pictures a running night holds: those that may be among the best in the end.

    A picture's rank only gets worse. So with a number to keep, whoever is out is out. A share grows with the pictures:
    then a picture that is out comes back if fewer than expected are better. So half as many again are held as the share
    would be in the end at the present speed, and 32 at least.

    Args:
        made: pictures so far.
        keep: the number or the share.
        share_of_time: the part of the time that has passed, over 0.
    """
    if isinstance(keep, int):
        return keep
    expected = kept_of(ceil(made / share_of_time), keep)
    return min(ceil(SPARE * MOST_KEPT), max(LEAST_HELD, ceil(SPARE * expected)))
