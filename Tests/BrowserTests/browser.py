"""Shows pages in headless Chromium and tells what it made of them.

    python3 browser.py PAGES.json

The file is {"deadline": SECONDS, "pages": [{"url", "width", "height", "scale", "dark", "media", "ask", "screenshot",
"whole", "most"}]}, of which all but "url" may be left out; one JSON array comes on standard output, an object a page:
  text        what can be read on it
  width       how wide its contents are, and "room" how wide the window is
  wider       elements that stick out at the right, but for those in boxes that scroll
  requests    the addresses it asked for, its own one first
  complaints  what the console says, such as breaches of the page's policy
  elements    how many elements there are of each name
  roles       the pictures' accessible names, as a screen reader has them
  result      the value of "ask", an expression of JavaScript, if there is one

The browser is told what to do over a pipe (--remote-debugging-pipe), so no port is open. It runs in a folder
of its own that goes with it, asks nobody for updates, and takes any certificate.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

WIDER = """(() => [...document.querySelectorAll('body *')].filter(e =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  && !e.closest('.scroll, pre, svg') && e.getClientRects().length).map(e =>
  e.tagName + '.' + e.className).slice(0, 9))()"""
COUNTS = """(() => { const all = {}; for (const e of document.querySelectorAll('*'))
  all[e.localName] = (all[e.localName] || 0) + 1; return all })()"""


class Browser:
    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="browser-")
        to_read, self.to_write = os.pipe()
        self.to_hear, to_say = os.pipe()
        arguments = [
            program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox",
            "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-default-apps", "--disable-extensions", "--disable-domain-reliability",
            "--disable-client-side-phishing-detection", "--metrics-recording-only",
            "--no-default-browser-check", "--no-pings", "--ignore-certificate-errors",
            "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
            # Nothing but this machine has a name.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
            "--user-data-dir=" + self.folder, "about:blank",
        ]

        # The pipe's ends are 3 and 4 over there; first out of their own way.
        def put():
            hear, say = os.dup(to_read), os.dup(to_say)
            while min(hear, say) < 5:
                hear, say = os.dup(hear), os.dup(say)
            os.dup2(hear, 3)
            os.dup2(say, 4)

        environment = dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder)
        environment.pop("LD_PRELOAD", None)
        self.process = subprocess.Popen(
            arguments, preexec_fn=put, close_fds=False, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_say)
        self.number = 0
        self.buffer = b""
        self.events = []

    def hear(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.to_hear, 1 << 16)
            if not chunk:
                raise EOFError("the browser has gone")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data):]
        number = self.number
        while True:
            answer = self.hear()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(method + ": " + json.dumps(answer["error"]))
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait(self, method, session):
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session:
                    return event
            event = self.hear()
            if "method" in event:
                self.events.append(event)

    def show(self, page):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        ask = lambda method, **parameters: self.call(method, session, **parameters)

        def value(expression):
            answer = ask("Runtime.evaluate", expression=expression, returnByValue=True,
                         awaitPromise=True)
            if "exceptionDetails" in answer:
                raise RuntimeError(json.dumps(answer["exceptionDetails"]))
            return answer["result"].get("value")

        for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
            ask(domain + ".enable")
        width, height = page.get("width", 390), page.get("height", 844)
        ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=page.get("scale", 1), mobile=width < 600)
        ask("Emulation.setEmulatedMedia", media=page.get("media", ""), features=[
            {"name": "prefers-color-scheme", "value": "dark" if page.get("dark") else "light"}])
        self.events.clear()
        ask("Page.navigate", url=page["url"])
        self.wait("Page.loadEventFired", session)
        nodes = ask("Accessibility.getFullAXTree")["nodes"]
        result = {
            "text": value("document.body.innerText"),
            "width": value("document.documentElement.scrollWidth"),
            "room": value("document.documentElement.clientWidth"),
            "wider": value(WIDER),
            "elements": value(COUNTS),
            "roles": [n.get("name", {}).get("value", "") for n in nodes
                      if n.get("role", {}).get("value") in ("image", "img")],
            "result": value(page["ask"]) if "ask" in page else None,
        }
        if "screenshot" in page:
            if page.get("whole"):
                size = ask("Page.getLayoutMetrics")["cssContentSize"]
                height = min(int(size["height"]), page.get("most", 16000))
                ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                    deviceScaleFactor=page.get("scale", 1), mobile=width < 600)
            image = ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={
                "x": 0, "y": 0, "width": width, "height": height, "scale": 1})["data"]
            with open(page["screenshot"], "wb") as file:
                file.write(base64.b64decode(image))
        sent = [e["params"] for e in self.events if e.get("sessionId") == session
                and e["method"] == "Network.requestWillBeSent"]
        result["requests"] = [one["request"]["url"] for one in sent]
        result["complaints"] = [
            json.dumps(e["params"]) for e in self.events if e.get("sessionId") == session
            and e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
        self.call("Target.closeTarget", targetId=target)
        return result

    def close(self):
        signal.alarm(15)
        try:
            self.call("Browser.close")
        except (EOFError, OSError, RuntimeError):
            pass
        signal.alarm(0)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        sys.exit("there is no chromium")
    with open(sys.argv[1]) as file:
        wanted = json.load(file)

    def late(number, frame):
        raise TimeoutError("the browser does not get on")

    # Whoever started this may have blocked it. A TimeoutError is an OSError, which closing expects.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.signal(signal.SIGALRM, late)
    signal.alarm(wanted.get("deadline", 150))
    browser = Browser(program)
    try:
        json.dump([browser.show(page) for page in wanted["pages"]], sys.stdout)
    finally:
        browser.close()


main()
