"""The settings that the tests' own process runs with. Loaded before Django (`-p tests.support.environment`).

Nothing of the developer's own .env, environment or var/ gets in. Processes of one run share the folder that the first
of them makes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

from project import var_dir

# A shell starts jobs in the background with SIGINT ignored, and so would be every process that we start and stop.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "LATCHKEY_TEST_DIR" not in os.environ:
    os.environ["LATCHKEY_TEST_DIR"] = tempfile.mkdtemp(prefix="latchkey-tests-")
    atexit.register(shutil.rmtree, os.environ["LATCHKEY_TEST_DIR"], ignore_errors=True)

SETTINGS = (
    *("SMS_", "ALTCHA", "YUNTONGXUN_", "ALIYUN_", "TENCENT_", "TWILIO_", "APPRISE_"),
    *("SIGN_UP", "PASSWORD_", "REMEMBERED_", "SECRET_KEY_FALLBACKS"),
    *("SITE_", "HOME_PAGE", "TERMS_URL", "PRIVACY_URL", "SUPPORT_URL", "ICP_NUMBER"),
    *("REDIS_URL", "DATABASE_URL", "BROKER_URL", "QUEUE_NAME", "KEY_PREFIX"),
    *("PUBLIC_ORIGIN", "ALLOWED_HOSTS", "TRUSTED_PROXIES", "HOST", "PORT", "SOCKETS"),
)
for name in [name for name in os.environ if name.startswith(SETTINGS) and name != "HOSTNAME"]:
    del os.environ[name]
os.environ |= {
    "DEBUG": "1",
    "ENV_FILE": "",
    "VAR_DIR": str(Path(os.environ["LATCHKEY_TEST_DIR"]) / f"process-{os.getpid()}"),
    "SECRET_KEY": "tests only: one two three four five six seven",
}
var_dir.prepare()
