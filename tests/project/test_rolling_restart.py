"""Two web processes behind the nginx and the HAProxy of docs/operators.md are restarted, and no visitor notices."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.numbers import number
from tests.support.person import Person
from tests.support.stack import ROOT, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.stack import Part, Stack

SBIN = "/usr/sbin:/usr/bin:/usr/local/sbin"


def shown(language: str, first_line: str) -> str:
    """Return the lines that docs/operators.md shows."""
    page = (ROOT / "docs" / "operators.md").read_text()
    found = re.search(rf"^```{language}\n({re.escape(first_line)}.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/operators.md does not show {first_line}"
    return found[1]


def nginx(folder: Path, port: int) -> list[str]:
    """Write a configuration around the upstream, and return the command."""
    paths = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder / 'pid'}; error_log {folder / 'error.log'}; events {{ }}\n"
        f"http {{ access_log off; {paths}\n{shown('nginx', 'upstream latchkey {')}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://latchkey; proxy_http_version 1.1; "
        "proxy_set_header Host $http_host; } } }\n"
    )
    return ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, port: int) -> list[str]:
    """Write a configuration around the backend, and return the command."""
    (folder / "haproxy.cfg").write_text(
        f"defaults\n    mode http\n    timeout client 60s\n{shown('haproxy', 'backend latchkey')}\n"
        f"frontend visitors\n    bind 127.0.0.1:{port}\n    default_backend latchkey\n"
    )
    return ["haproxy", "-f", str(folder / "haproxy.cfg")]


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def front(
    request: pytest.FixtureRequest, make_stack: Callable[..., Stack], tmp_path: Path
) -> Iterator[tuple[Stack, str]]:
    """Two web processes, and the address of the proxy before them."""
    program = shutil.which(request.param.__name__, path=SBIN)
    if not program:
        pytest.skip(f"no {request.param.__name__} here; Debian: apt-get install nginx-light haproxy")
    stack = make_stack(webs=2, SMS_PER_IP_HOUR="1000", SMS_BUDGET_HOUR="1000", SMS_PER_PREFIX_HOUR="1000")
    port = free_port()
    command = request.param(tmp_path, port)
    for config in (tmp_path / "nginx.conf", tmp_path / "haproxy.cfg"):
        if config.exists():
            text = config.read_text()
            assert text.count(":8001") == text.count(":8002") == 1
            config.write_text(text.replace(":8001", f":{stack.ports[0]}").replace(":8002", f":{stack.ports[1]}"))
    process = subprocess.Popen([program, *command[1:]])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), 20, "the proxy does not answer")
        yield stack, url
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    """Tell whether a visitor gets through."""
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_rolling_restart_loses_no_request(front: tuple[Stack, str]) -> None:
    """T-70: pages are loaded and codes asked for all the while; each answer is the right one, each code is sent."""
    stack, url = front
    over = threading.Event()
    got: Counter[str] = Counter()

    def visit() -> None:
        while not over.is_set():
            with closing(Person(url)) as person:
                try:
                    got[f"page {person.get().status_code}"] += 1
                    got[f"code {person.ask(number()).status_code}"] += 1
                except httpx.TransportError as error:
                    got[f"lost: {error!r}"] += 1

    crowd = [threading.Thread(target=visit) for _ in range(4)]
    for thread in crowd:
        thread.start()
    try:
        for web, port in zip(stack.webs, stack.ports, strict=True):
            restart(web)
            stack.wait_for_web(port)
    finally:
        over.set()
        for thread in crowd:
            thread.join()
    assert set(got) == {"page 200", "code 202"}, got
    assert len(stack.deliveries()) == got["code 202"]


def restart(web: Part) -> None:
    """Stop a web process as a supervisor does, and start it again."""
    assert web.process
    web.process.terminate()
    assert web.process.wait(10) == 0
    web.start()
