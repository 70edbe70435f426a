"""The broker: hints that work waits. A hint names no tile; a worker that gets one asks the database whose turn it is.

Imports Celery and redis; no torch. Nothing is lost with it: `top_up` sends again what the database says is unfinished.
"""

import logging

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

QUEUE = "landscape"
TASK = "landscape.work"
MOST_HINTS = 64  # a worker that finishes a tile tops up too, so a few are enough for any number of tiles


def celery_app(broker: str) -> Celery:
    """Celery as we use it: JSON, no results, a task is acknowledged when it is done, one at a time."""
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
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 60,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
            "socket_timeout": 30,
        },
        task_publish_retry=False,
    )
    return app


def _celery_url(broker: str) -> str:
    """redis-py says unix://…, Celery says redis+socket://… for the same socket."""
    return "redis+socket" + broker.removeprefix("unix") if broker.startswith("unix://") else broker


class Hints:
    """The sending side."""

    def __init__(self, broker: str):
        self.celery = celery_app(broker)
        self.redis = Redis.from_url(broker, socket_connect_timeout=2, socket_timeout=5)

    def top_up(self, waiting: int) -> None:
        """See to it that about as many hints as waiting tiles are in the broker; a broker out of reach is no error."""
        try:
            for _ in range(min(waiting, MOST_HINTS) - int(self.redis.llen(QUEUE))):
                self.celery.send_task(TASK, queue=QUEUE)
        except (RedisError, OSError, self.celery.connection_for_write().recoverable_connection_errors) as error:
            logger.warning("broker out of reach; the reconciler will send again", extra={"error": str(error)[:200]})

    def reachable(self) -> bool:
        """Whether the broker answers."""
        try:
            return bool(self.redis.ping())
        except (RedisError, OSError):
            return False
