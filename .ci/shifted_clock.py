"""Move the wall clock of this process by SHIFTED_CLOCK_S seconds; does nothing where that is not set.

Knows no test. Imported by a .pth file, so that children have the same day. The monotonic clock, file times and certificates
stay the system's: tests that hang on these are marked `real_clock`.
"""

import os

if os.environ.get("SHIFTED_CLOCK_S"):
    import time

    import time_machine

    time_machine.travel(time.time() + float(os.environ["SHIFTED_CLOCK_S"]), tick=True).start()
