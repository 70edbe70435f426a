"""Wake-up messages to workers through the broker: new work waits.

A message names no tile: a worker that gets one leases the next tile from the database, so the order of work is decided
there, when the tile is leased. Losing messages loses no work: the reconciler sends them again for unfinished work.
"""

import logging
import threading
import time

from celery import Celery
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

QUEUE = "landscape"
TASK = "landscape.work"
MOST_MESSAGES = 64  # a worker that finishes a tile tops up too, so a few are enough for any number of tiles
PAUSE_SECONDS = 5.0  # before an unreachable broker is tried again: workers poll for work meanwhile


def celery_app(broker: str) -> Celery:
    """The Celery application: JSON, no results, one task at a time, acknowledged when it is done."""
    app = Celery("landscape", broker=_celery_url(broker))
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_pool="solo",
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a broker that is out of memory refuses commands
        broker_transport_options={
            "visibility_timeout": 60,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
            "socket_timeout": 10,
        },
        task_publish_retry=False,
    )
    return app


def _celery_url(broker: str) -> str:
    """The same Unix socket is unix://… for redis-py and redis+socket://… for Celery."""
    return "redis+socket" + broker.removeprefix("unix") if broker.startswith("unix://") else broker


class WakeUps:
    """Sends wake-up messages to workers, and wakes the reconciler of this process."""

    def __init__(self, broker: str):
        self.celery = celery_app(broker)
        self.redis = Redis.from_url(broker, socket_connect_timeout=0.5, socket_timeout=0.5)
        self._not_before, self._wanted = 0.0, threading.Event()

    def notify(self) -> None:
        """Wake the reconciler, since new work waits. Never waits for the broker."""
        self._wanted.set()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or upon `notify`."""
        self._wanted.wait(seconds)
        self._wanted.clear()

    def top_up(self, waiting: int) -> None:
        """Keep about as many messages in the broker as tiles wait; an unreachable broker is no error."""
        if time.monotonic() < self._not_before:
            return
        try:
            for _ in range(min(waiting, MOST_MESSAGES) - int(self.redis.llen(QUEUE))):
                self.celery.send_task(TASK, queue=QUEUE)
        except (RedisError, KombuError, OSError) as error:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            logger.warning("broker out of reach; wake-up messages follow later", extra={"error": str(error)[:200]})

    def reachable(self) -> bool:
        """Whether the broker answers."""
        try:
            return bool(self.redis.ping())
        except (RedisError, OSError):
            return False
