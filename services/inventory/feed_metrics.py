"""What is counted about channels. Their names come from the configuration, so they are few. Oversold orders are counted by orders."""

from prometheus_client import Counter, Gauge, Histogram

from services.inventory.domain.feed import ChannelState

UPDATES = Counter("freeport_channel_updates_total", "Updates of stock by channel and outcome.", ("channel", "outcome"))
SECONDS = Histogram(
    "freeport_channel_update_seconds",
    "From a change of what a channel may sell to its acknowledgement.",
    ("channel",),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600),
)
PENDING = Gauge(
    "freeport_channel_pending_updates", "SKUs whose quantity the channel has not acknowledged.", ("channel",)
)
REFUSED = Gauge("freeport_channel_refused_skus", "SKUs that the channel refuses.", ("channel",))
DELAY = Gauge("freeport_channel_delay_seconds", "How long the channel has missed a fall, or been silent.", ("channel",))
LAG = Gauge("freeport_channel_lag_seconds", "The lag that the channel's buffer reckons with.", ("channel",))
FENCED = Gauge("freeport_channel_fenced", "1 while the channel is offered nothing, because it is silent.", ("channel",))
STATES = Counter("freeport_channel_transitions_total", "Changes of a channel's state.", ("channel", "state"))


def show(channel: str, state: ChannelState, delay_s: float, lag_s: float, pending: int, refused: int) -> None:
    """Set the gauges of one channel."""
    FENCED.labels(channel).set(state is ChannelState.FENCED)
    DELAY.labels(channel).set(delay_s)
    LAG.labels(channel).set(lag_s)
    PENDING.labels(channel).set(pending)
    REFUSED.labels(channel).set(refused)
