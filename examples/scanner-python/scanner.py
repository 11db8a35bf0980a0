#!/usr/bin/env python3
"""A Factgate scanner in plain Python: every .json file of a package is JSON.

It speaks the HTTP channel of docs/scanner-protocol.md and needs nothing but Python
3.9's standard library:

    FACTGATE_SERVER=http://127.0.0.1:8080 FACTGATE_SCANNER_KEY=fgscan_... python3 scanner.py

Run as many as you like. Each may be killed at any moment: what it leaves undone is
delivered to another, which begins the next attempt.
"""
import hashlib, json, os, signal, sys, tempfile, threading, time, urllib.error, urllib.request, uuid, zipfile

TYPE, NAME, VERSION = "JSON_SYNTAX", "example-json-syntax", "1.0.0"
RULES = "JSN001 not JSON; JSN002 a key twice"  # whatever changes what is found changes the digest
MAX_PACKAGE, MAX_FILE = 200 << 20, 10 << 20  # bytes
MAX_FINDINGS = 9000  # the rest is counted and not written

SERVER = os.environ.get("FACTGATE_SERVER", "http://127.0.0.1:8080").rstrip("/")
HEADERS = {
    "Authorization": "Bearer " + os.environ.get("FACTGATE_SCANNER_KEY", ""),
    "X-Factgate-Instance": os.environ.get("FACTGATE_INSTANCE") or str(uuid.uuid4()),
    "X-Factgate-Scanner": NAME + "/" + VERSION,
    "X-Factgate-Rules-Digest": hashlib.sha256(RULES.encode()).hexdigest(),
}
stopping = threading.Event()


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


# --- the channel ------------------------------------------------------------


class Refused(Exception):
    """The server says no, and would say so again."""

    def __init__(self, status, code, message):
        super().__init__(f"{message} ({code})")
        self.status, self.code = status, code


def ask(method, path, body=None, timeout=30, patience=60):
    """One request, repeated while the server is away: every request may be."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    until = time.monotonic() + patience
    while True:
        request = urllib.request.Request(SERVER + path, data=data, method=method, headers=HEADERS)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                text = e.read(1 << 20)
            if e.code < 500:
                try:
                    refused = json.loads(text)["refused"]
                except (ValueError, KeyError, TypeError):
                    refused = {"code": "http", "message": f"{SERVER} answered {e.code}; is it a Factgate server?"}
                raise Refused(e.code, refused["code"], refused["message"]) from None
            why = e
        except (OSError, ValueError) as e:  # no connection, or an answer that broke off
            why = e
        if time.monotonic() > until:
            raise OSError(f"the server is away: {why}")
        time.sleep(1)


class Delivery:
    """A leased delivery, and what may be said about it."""

    def __init__(self, d):
        self.task, self.lease, self.took_part, self.package = d["taskId"], d["lease"], d["tookPart"], d["package"]
        self.attempt = 0
        self.lost = threading.Event()  # the lease is gone: the work is another's
        self.done = threading.Event()
        self.every = max(d["expiresInMs"] / 3000, 0.1)
        threading.Thread(target=self.keep, daemon=True).start()

    def keep(self):
        """Renew the lease until the work is done."""
        while not self.done.wait(self.every):
            try:
                ask("POST", f"/api/scanners/{TYPE}/deliveries/{self.lease}/heartbeat", patience=0)
            except Refused:
                self.lost.set()
                return
            except OSError as e:
                log("heartbeat:", e)

    def fact(self, name, **data):
        return ask("POST", f"/api/scanners/{TYPE}/tasks/{self.task}/facts", {"fact": name, "lease": self.lease, "data": data})

    def report(self, findings):
        header = {"format": 1, "taskId": self.task, "subTaskType": TYPE, "attempt": self.attempt, "scanner": NAME + "/" + VERSION}
        lines = "\n".join(json.dumps(line, ensure_ascii=False) for line in [header] + findings)
        stored = ask("POST", f"/api/scanners/{TYPE}/tasks/{self.task}/reports", lines.encode())
        return {"key": stored["key"], "sha256": stored["sha256"]}

    def settle(self, how, **body):
        self.done.set()
        return ask("POST", f"/api/scanners/{TYPE}/deliveries/{self.lease}/{how}", body)["end"]


# --- the check --------------------------------------------------------------


def files_of(package):
    """The files of a package as (path, entry), sorted; one folder around all is left out."""
    found = []
    for entry in package.infolist():
        name = entry.filename
        if not entry.flag_bits & 0x800:  # not marked as UTF-8: Chinese Windows writes GB18030
            raw = name.encode("cp437", "replace")
            for encoding in ("utf-8", "gb18030", "cp437"):
                try:
                    name = raw.decode(encoding)
                    break
                except UnicodeDecodeError:
                    pass
        name = name.replace("\\", "/")
        if not entry.is_dir() and not name.startswith("__MACOSX/"):
            found.append((name, entry))
    roots = {name.split("/")[0] if "/" in name else "" for name, _ in found}
    if len(roots) == 1 and "" not in roots:
        found = [(name.split("/", 1)[1], entry) for name, entry in found]
    return sorted(found, key=lambda f: f[0])


def finding(rule, severity, path, en, zh, anchor, **place):
    return dict(rule=rule, severity=severity, path=path, message={"en": en, "zh": zh}, anchor=anchor, **place)


def check(path, content):
    """The findings of one file, or ValueError if it cannot be judged."""
    found, twice = [], []

    def pairs(items):
        seen = set()
        for key, _ in items:
            if key in seen:
                twice.append(key)
            seen.add(key)
        return dict(items)

    def constant(name):
        raise json.JSONDecodeError(name + " is not JSON", "", 0)

    try:
        json.loads(content.decode("utf-8-sig"), object_pairs_hook=pairs, parse_constant=constant, parse_int=len)
    except UnicodeDecodeError:
        found.append(finding("JSN001", "error", path, "The file is not UTF-8; save it as UTF-8.", "文件不是 UTF-8 编码，请以 UTF-8 保存。", "encoding"))
    except json.JSONDecodeError as e:
        found.append(finding("JSN001", "error", path, f"Not JSON: {e.msg}. Correct it here.", f"不是合法的 JSON：{e.msg}，请在此处更正。", e.msg, line=e.lineno, column=e.colno))
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None
    for key in sorted(set(twice)):
        key = key[:200]
        found.append(finding("JSN002", "warning", path, f"The key {key!r} stands twice in one object; one of them is lost.", f"同一对象中键 {key!r} 重复出现，其中一个会丢失。", key))
    return found


def scan(files, package, still_mine):
    """Returns findings, counts and coverage. A bad file is one of these, never an exception."""
    findings, counts, coverage = [], {"error": 0, "warning": 0, "note": 0}, {"eligible": 0, "seen": 0, "degraded": []}
    for path, entry in files:
        still_mine()
        coverage["eligible"] += 1
        try:
            with package.open(entry) as f:
                content = f.read(MAX_FILE + 1)
            if len(content) > MAX_FILE:
                raise ValueError(f"larger than {MAX_FILE >> 20} MiB")
            found = check(path, content)
        except (ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as e:
            if len(coverage["degraded"]) < 1000:
                why = str(e)
                coverage["degraded"].append({
                    "path": path,
                    "reason": (why or "cannot be read")[:500],
                    "reasonZh": (f"无法检查：{why}" if why else "无法读取")[:500],
                })
            continue
        coverage["seen"] += 1
        for one in found:
            counts[one["severity"]] += 1
        findings.extend(found[: MAX_FINDINGS - len(findings)])
    return findings, counts, coverage


# --- a delivery, from its lease to its end ----------------------------------


class Lost(Exception):
    """Another attempt has begun, or may: what was found is dropped."""


def handle(d):
    began = time.monotonic()

    def still_mine():
        if d.lost.is_set():
            raise Lost()

    with tempfile.TemporaryFile() as f:
        with urllib.request.urlopen(SERVER + d.package["url"], timeout=60) as answer:
            size = 0
            while chunk := answer.read(1 << 20):
                still_mine()
                size += len(chunk)
                if size > MAX_PACKAGE:
                    raise ValueError("the package is larger than any upload")
                f.write(chunk)
        package = zipfile.ZipFile(f)
        files = [(path, entry) for path, entry in files_of(package) if path.lower().endswith(".json")]

        # Decide. Who took part before cannot decline any more.
        if not files and not d.took_part:
            d.fact("SubTaskDeclined", code="NO_MATCHING_FILES", reason="no .json files", reasonZh="没有 .json 文件")
            return "declined"

        # The attempt is recorded before the work: a package that kills us is counted.
        d.attempt = d.fact("SubTaskStarted").get("attempt", 0)
        if d.attempt == 0:
            return "was settled before"
        findings, counts, coverage = scan(files, package, still_mine)

    # The report first, then the fact that names it. Repeating either is harmless.
    said = dict(attempt=d.attempt, summary=counts, coverage=coverage, report=d.report(findings), durationMs=int((time.monotonic() - began) * 1000))
    if counts["error"]:
        d.fact("SubTaskFailed", kind="CHECK", reason=f"{counts['error']} errors: JSN001", reasonZh=f"{counts['error']} 个错误：JSN001", **said)
        return "failed the check"
    if coverage["eligible"] and not coverage["seen"]:
        n = coverage["eligible"]
        d.fact("SubTaskFailed", kind="ERROR", reason=f"covered nothing: 0 of {n} files could be read", reasonZh=f"未覆盖任何内容：{n} 个文件中读取了 0 个", **said)
        return "covered nothing"
    d.fact("SubTaskCompleted", result="PASS_WITH_WARNINGS" if counts["warning"] else "PASS", **said)
    return "passed"


def work(d):
    try:
        outcome = handle(d)
        d.settle("ack")  # only now: everything is durable
        log(d.task, outcome)
    except (Lost, Refused) as e:
        d.done.set()
        code = getattr(e, "code", "lease.gone")
        if code in ("lease.gone", "attempt.stale", "attempt.ended", "delivery.unanswered"):
            log(d.task, "dropped: another has it:", e)
            return
        give_back(d, "retry", e)  # a request of ours was wrong: the attempts are counted, so this ends
    except zipfile.BadZipFile as e:
        give_back(d, "park", e)  # no repetition makes it whole
    except Exception as e:  # transient or a defect: again, after a pause that the server makes
        give_back(d, "retry", e)


def give_back(d, action, why):
    try:
        end = d.settle("nack", action=action, reason=f"{type(why).__name__}: {why}"[:500])
        log(d.task, "gave it back:", end, why)
    except (Refused, OSError) as e:
        log(d.task, "could not give it back, so its lease will run out:", e)


def main():
    for sig in (signal.SIGINT, signal.SIGTERM):  # finish what was begun, then go
        signal.signal(sig, lambda *_: stopping.set())
    log("scanner", TYPE, "asks", SERVER, "as", HEADERS["X-Factgate-Instance"])
    while not stopping.is_set():
        try:
            got = ask("GET", f"/api/scanners/{TYPE}/deliveries?wait=10s&max=1", patience=0)
        except Refused as e:
            if e.status in (401, 404):
                sys.exit(f"{e}; make a key with: factgate scanners key {TYPE}")
            raise
        except OSError as e:
            log(e)
            stopping.wait(1)
            continue
        for d in got["deliveries"]:
            work(Delivery(d))


if __name__ == "__main__":
    main()
