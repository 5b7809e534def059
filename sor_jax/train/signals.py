"""SIGTERM and SIGINT as a wish that the loop grants between two steps."""

import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Within `with`, the first signal only sets `requested`; the second one acts as usual.

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
        self._put_back()

    def _ask(self, number, _):
        self.requested = True
        self._put_back()
        name = signal.Signals(number).name
        print(f"{name}: stopping after this step and saving; again to stop at once", flush=True)

    def _put_back(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
