"""The settings of a page on Channels as its documentation has it, without Latchkey's code. `LAYER` says which layer."""

from __future__ import annotations

import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": {
            "core": "channels_redis.core.RedisChannelLayer",
            "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
        }[os.environ["LAYER"]],
        # redis-py's own 5 s end a core layer's socket that nothing is sent to.
        "CONFIG": {"hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": 30}]},
    }
}
