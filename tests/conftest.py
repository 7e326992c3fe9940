"""Settings shared by every test."""

from hypothesis import HealthCheck, settings

import samara

# No deadlines: a test never depends on how busy the machine is. The same examples on every run, so
# that a failure can be repeated from its name alone.
settings.register_profile(
    "samara",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("samara")

# A device whose memory only kernels can reach; a process has one of this kind, with one name.
samara._core.register_host_backed_device("null")
