from dockless.registry import Clock


class ManualClock:
    """A clock whose time advances only in `sleep`."""

    def __init__(self):
        self.time = 1000.0
        self.sleeps = []

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.time += seconds

    def clock(self):
        return Clock(lambda: self.time, lambda: self.time, self.sleep, lambda: 0.5)
