"""SIGTERM and SIGINT as a wish that the loop grants between two steps."""

import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Within `with`, the first signal only sets `requested`; the second one ends the process.

    Outside the main thread, where Python has no signals, nothing ever asks.
    """

    def __init__(self):
        self.requested = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, _):
        self.requested = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # not Python's, which waits for a call to return
        name = signal.Signals(number).name
        print(f"{name}: stopping after this step and saving; again to stop at once", flush=True)
