"""Makes manual pages of a tool from what the tool knows of itself, one for it and one for each command.

    python3 Scripts/man.py TOOL FOLDER            writes FOLDER/NAME.1 and FOLDER/NAME-COMMAND.1
    python3 Scripts/man.py --check TOOL FOLDER    says which of them are not as they would be written

TOOL is the executable: its --experimental-dump-help names commands, options, values and defaults, and the
discussions of its commands hold paragraphs, then EXAMPLES and EXIT CODES. Nothing in a page depends on the
machine or the day.
"""

import json
import pathlib
import re
import subprocess
import sys

# When the pages last changed in kind; a reader's man wants a date, and a build's would differ each time.
DATE = "2026-11-23"

ENVIRONMENT = [
    ("NO_COLOR", "When set and not empty, text has no colours unless \\-\\-color=always says so."),
    ("TERM", "When it is dumb, text has no colours either."),
    ("SSL_CERT_FILE", "A file of roots that stands for the system's, as everywhere with OpenSSL."),
    ("SSL_CERT_DIR", "A folder of roots, in the same way."),
]
# What is read or written without being named by an option.
FILES = {
    "tlsinspect": [
        ("/etc/ssl/certs", "The system's roots, which chains are judged by unless \\-\\-ca names others."),
        ("docs/tlsinspect.schema.json", "In the sources: the schema of all output in JSON."),
    ],
    "tlscerts": [
        ("docs/tlscerts.schema.json", "In the sources: the schema of all output in JSON."),
    ],
}
OTHERS = {
    "tlsinspect": ["tlscerts", "openssl-s_client", "openssl-verify"],
    "tlscerts": ["tlsinspect", "openssl-x509", "openssl-ocsp"],
}
# Commands that connect to nobody have no use for roots.
WITHOUT_ROOTS = {"explain", "serve", "listen", "read", "demo"}


def escaped(text):
    """Text of which roff makes nothing but text; hyphens of options and code are hyphens."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![A-Za-z])-|-(?![A-Za-z])", r"\\-", text)
    text = "".join(c if ord(c) < 128 else "\\[u%04X]" % ord(c) for c in text)
    return "\\&" + text if text[:1] in (".", "'") else text


def code(text):
    """Text that somebody may copy: every hyphen is one."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if ord(c) < 128 else "\\[u%04X]" % ord(c) for c in text)
    return "\\&" + text if text[:1] in (".", "'") else text


def paragraph(text):
    """A line a sentence, as roff wants to see its ends."""
    sentences = re.split(r"(?<=[.:;]) (?=[A-Z])", " ".join(text.split()))
    return [escaped(sentence) for sentence in sentences if sentence]


def sections(discussion):
    """A discussion by its headings; what stands before the first one has none."""
    found, name = {None: []}, None
    for line in (discussion or "").split("\n"):
        if re.fullmatch(r"[A-Z][A-Z ]+", line):
            name = line
            found[name] = []
        else:
            found[name].append(line)
    return found


def name(argument):
    names = [("-" if n["kind"] == "short" else "--") + n["name"] for n in argument.get("names", [])]
    return sorted(names, key=len)


def option(argument):
    """An option with its value, meaning, values and default."""
    value = "\\fI%s\\fR" % code(argument["valueName"])
    if argument["kind"] == "positional":
        head = value + (" ..." if argument["isRepeating"] else "")
    else:
        head = ", ".join("\\fB%s\\fR" % code(one) for one in name(argument))
        if argument["kind"] == "option":
            head += " " + value
    lines = [".TP", head]
    for text in (argument.get("abstract"), argument.get("discussion")):
        lines += paragraph(re.sub(r"\(default: (.*)\)", r"By default \1.", text or ""))
    values = argument.get("allValues", [])
    if values:
        lines.append("One of " + ", ".join("\\fB%s\\fR" % code(v) for v in values) + ".")
    default = argument.get("defaultValue")
    if default:
        lines.append("By default \\fB%s\\fR." % code(default.removesuffix(".0")))
    return lines


def examples(lines):
    text = [code(line[2:] if line.startswith("  ") else line) for line in lines if line.strip()]
    return [".EX"] + text + [".EE"] if text else []


def exits(lines):
    result = []
    for line in lines:
        match = re.match(r"\s*(\d+)\s+(.*)", line)
        if match:
            result += [".TP", ".B " + match[1], escaped(match[2][0].upper() + match[2][1:] + ".")]
    return result


def terms(pairs):
    return [line for term, text in pairs for line in (".TP", ".B " + code(term), text)]


def page(tool, version, root, command=None):
    this = command or root
    title = tool + ("-" + command["commandName"] if command else "")
    parts = sections(this.get("discussion"))
    arguments = [a for a in this.get("arguments", []) if a.get("shouldDisplay", True)]
    places = [a for a in arguments if a["kind"] == "positional"]
    abstract = this["abstract"].rstrip(".")
    lines = [
        '.\\" Made by Scripts/man.sh from what the tool knows of itself.',
        '.TH %s 1 "%s" "%s" "User Commands"' % (title.upper().replace("-", "\\-"), DATE, version),
        ".SH NAME", "%s \\- %s" % (code(title), escaped(abstract[0].lower() + abstract[1:])),
        ".SH SYNOPSIS",
    ]
    words = "\\fB%s\\fR" % code(tool)
    if command:
        words += " \\fB%s\\fR" % code(command["commandName"])
        for place in places:
            text = "\\fI%s\\fR" % code(place["valueName"]) + (" ..." if place["isRepeating"] else "")
            words += " [%s]" % text if place["isOptional"] else " " + text
        words += " [\\fIoption\\fR ...]"
    else:
        words += " \\fIcommand\\fR [\\fIargument\\fR ...]"
    lines.append(words)
    lines.append(".SH DESCRIPTION")
    lines += paragraph(this["abstract"])
    described = paragraph("\n".join(parts[None]))
    lines += [".PP"] + described if described else []
    shown = [c for c in root.get("subcommands", []) if c["commandName"] != "help"]
    if not command:
        lines.append(".SH COMMANDS")
        for one in shown:
            lines += [".TP", "\\fB%s\\fR(1)" % code(tool + "-" + one["commandName"])]
            lines += paragraph(one["abstract"])
    lines.append(".SH OPTIONS")
    for argument in arguments:
        lines += option(argument)
    if parts.get("EXAMPLES"):
        lines += [".SH EXAMPLES"] + examples(parts["EXAMPLES"])
    lines += [".SH EXIT STATUS"] + exits(sections(root.get("discussion"))["EXIT CODES"])
    rootless = tool != "tlsinspect" or command and command["commandName"] in WITHOUT_ROOTS
    lines += [".SH ENVIRONMENT"] + terms(ENVIRONMENT[:2] if rootless else ENVIRONMENT)
    files = FILES[tool][1:] if rootless and tool == "tlsinspect" else FILES[tool]
    lines += [".SH FILES"] + terms(files)
    see = ([tool] if command else []) + [
        tool + "-" + c["commandName"] for c in shown if c is not command] + OTHERS[tool]
    lines.append(".SH SEE ALSO")
    lines += [".BR %s (1)%s" % (code(one), "," if one != see[-1] else "") for one in see]
    return title, "\n".join(lines) + "\n"


def main():
    check = "--check" in sys.argv
    rest = [a for a in sys.argv[1:] if a != "--check"]
    if len(rest) != 2:
        sys.exit(__doc__)
    program, folder = rest[0], pathlib.Path(rest[1])
    run = lambda *a: subprocess.run([program, *a], capture_output=True, text=True, check=True).stdout
    root = json.loads(run("--experimental-dump-help"))["command"]
    tool, version = root["commandName"], run("--version").strip()
    commands = [c for c in root.get("subcommands", []) if c["commandName"] != "help"]
    pages = dict(page(tool, version, root, c) for c in [None] + commands)
    names = {title + ".1" for title in pages}
    there = {p.name for p in folder.glob(tool + "*.1")}
    stale = sorted(there - names) + sorted(
        title + ".1" for title, text in pages.items()
        if not (folder / (title + ".1")).exists() or (folder / (title + ".1")).read_text() != text)
    if check:
        if stale:
            sys.exit("not as Scripts/man.sh writes them: " + ", ".join(stale))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for one in there - names:
        (folder / one).unlink()
    for title, text in pages.items():
        (folder / (title + ".1")).write_text(text)


main()
